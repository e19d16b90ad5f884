// One question and its answer: asks, streams, shows where it comes from. A turn lives in memory only.

import { call } from "./api.js";
import { announce, calm, copyText, h, icon } from "./dom.js";
import { openDocument } from "./document.js";
import { banner, citationList, howItCame, sourcesAsText } from "./answer.js";
import { withoutUnfinishedMarker } from "./markers.js";
import { passagePanel } from "./passages.js";
import { markdownView } from "./render.js";
import { events } from "./stream.js";
import { verdictOf } from "./verdict.js";

/** Builds a turn. `ask` is {body, fresh}; `onAgain(ask)` asks once more; `onEnd` hears that it is over, however. */
export function createTurn({ ask, onAgain, onEnd }) {
  const { body } = ask;
  const abort = new AbortController();
  const prose = h("div", { class: "prose", dir: "auto", "aria-live": "polite", "aria-busy": "true" });
  const wait = waiting();
  const banners = h("div", { class: "banners" });
  const cites = h("div", { class: "cites" });
  const how = h("div", { class: "how" });
  const actions = h("div", { class: "turn-actions" });
  const panel = passagePanel({ openDocument: (meta, citations) => openDocument(answer.db ?? body.db, meta, citations), showChip });
  const el = h(
    "article",
    { class: "turn", "aria-label": "Question and answer" },
    h("h2", { class: "question", dir: "auto", text: body.query }),
    h("div", { class: "turn-main" }, banners, prose, wait.el, cites, how, actions),
    panel.el,
  );

  let answer = {};
  let text = "";
  let citations = [];
  let frame = 0;

  const view = markdownView(prose, chip);

  function chip(n) {
    if (panel.size > 0 && n > panel.size) {
      return h("span", { class: "chip missing", title: "The answer names a passage that does not exist.", text: String(n) });
    }
    const button = h("button", {
      class: "chip",
      type: "button",
      data: { n },
      text: String(n),
      on: {
        click: () => panel.focus(n),
        mouseenter: () => panel.hover(n, true),
        mouseleave: () => panel.hover(n, false),
        focus: () => panel.hover(n, true),
        blur: () => panel.hover(n, false),
      },
    });
    dress(button);
    return button;
  }

  /** Gives a chip its verdict, once there is one. */
  function dress(button) {
    const c = citations.find((x) => x.n === Number(button.dataset.n));
    button.setAttribute("aria-label", `Passage ${button.dataset.n}${c ? `, ${verdictOf(c.verdict).label.toLowerCase()}` : ""}`);
    if (!c || button.dataset.verdict) return;
    button.dataset.verdict = c.verdict;
    button.title = `${verdictOf(c.verdict).label}: ${c.source}`;
    if (c.verdict !== "supported") button.append(icon(verdictOf(c.verdict).icon));
  }

  function showChip(n) {
    const target = prose.querySelector(`.chip[data-n="${n}"]`) ?? cites.querySelector(`.chip[data-n="${n}"]`);
    target?.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
    target?.focus({ preventScroll: true });
  }

  function paint(isWhole) {
    cancelAnimationFrame(frame);
    frame = 0;
    view.update(isWhole ? text : withoutUnfinishedMarker(text));
  }

  const handlers = {
    status: () => text || wait.say(panel.size ? "Waiting for the model" : "Finding passages"),
    contexts(e) {
      answer.db = e.db;
      panel.show(e.metadatas ?? [], e.contexts ?? []);
      wait.say("Reading the passages");
    },
    token(e) {
      wait.say("Writing");
      text += e.token ?? "";
      frame ||= requestAnimationFrame(() => paint(false));
    },
    citation(e) {
      if (e.citation) citations.push(e.citation);
    },
    done(e) {
      answer = e;
      text = e.answer ?? text;
      citations = e.citations ?? citations;
      if (e.metadatas?.length) panel.show(e.metadatas, e.contexts ?? []);
      finish();
    },
    error(e) {
      fail(e.error?.detail || e.error?.title || "The answer broke off.", e.error?.code);
    },
  };

  async function run() {
    wait.say("Finding passages");
    try {
      const headers = { Accept: "application/x-ndjson", ...(ask.fresh ? { "Cache-Control": "no-cache" } : {}) };
      const response = await call("/api/stream_query", { json: body, headers, signal: abort.signal });
      let last = "";
      for await (const event of events(response.body)) {
        last = event.event;
        handlers[last]?.(event);
      }
      if (last !== "done" && last !== "error") fail("The connection ended before the answer was complete.");
    } catch (err) {
      if (err.name === "AbortError") stopped();
      else fail(err.message, err.code, err.retryAfter);
    }
    end();
  }

  function finish() {
    paint(true);
    if (answer.degraded) banners.append(banner("degraded", answer, again));
    if (answer.done_reason === "length") banners.append(banner("cut", answer));
    for (const warning of answer.warnings ?? []) banners.append(banner("warning", { notice: warning }));
    panel.cite(citations);
    for (const button of prose.querySelectorAll(".chip")) dress(button);
    cites.replaceChildren(...citationList(citations, chip));
    how.replaceChildren(howItCame(answer, () => again(true)));
    announce(`The answer is complete. ${citations.length} citations.`);
  }

  function fail(detail, code, retryAfter) {
    paint(true);
    banners.append(banner("error", { notice: detail, code, retryAfter, partial: Boolean(text) }, again));
    announce(`No answer: ${detail}`);
  }

  function stopped() {
    paint(true);
    banners.append(banner("stopped", { partial: Boolean(text) }, again));
    announce("Stopped.");
  }

  const again = (fresh) => onAgain({ body, fresh: fresh === true || ask.fresh });

  function end() {
    wait.end();
    prose.setAttribute("aria-busy", "false");
    if (text) actions.replaceChildren(copyButton(() => text + sourcesAsText(citations)));
    onEnd();
  }

  return { el, run, stop: () => abort.abort(), collapse: () => panel.collapse() };
}

/** "Writing · 3 s": what happens now and for how long. */
function waiting() {
  const label = h("span", { class: "wait-label" });
  const clock = h("span", { class: "wait-clock" });
  const el = h("p", { class: "wait" }, h("span", { class: "pulse", "aria-hidden": "true" }), label, clock);
  const start = performance.now();
  const timer = setInterval(() => {
    const s = Math.floor((performance.now() - start) / 1000);
    clock.textContent = s > 0 ? `${s} s` : "";
  }, 500);
  return {
    el,
    say(what) {
      if (label.textContent === what) return;
      label.textContent = what;
      if (what !== "Writing") announce(what);
    },
    end() {
      clearInterval(timer);
      el.remove();
    },
  };
}

function copyButton(text) {
  const label = h("span", { text: "Copy answer" });
  const button = h("button", { class: "text-button", type: "button" }, icon("copy"), label);
  button.addEventListener("click", async () => {
    const ok = await copyText(text());
    label.textContent = ok ? "Copied" : "Copying is blocked here";
    announce(label.textContent);
    setTimeout(() => (label.textContent = "Copy answer"), 2000);
  });
  return button;
}
