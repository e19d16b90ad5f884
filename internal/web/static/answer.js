// What stands around an answer: banners, the list of its citations, and how it came to be.

import { h, icon, sentence } from "./dom.js";
import { age, baseName, count, place, plural, score, seconds } from "./format.js";
import { verdictTag } from "./verdict.js";

const DEGRADED = {
  no_model: "No language model is available",
  circuit_open: "The model server is paused after failures",
  queue_full: "The model server is busy",
  timeout: "The model took too long",
  no_vectors: "Passages were found by their words alone",
};

/** A note above the answer. `kind`: degraded, error, stopped, cut, warning. */
export function banner(kind, facts, again) {
  const { title, text, look, mark } = wording(kind, facts);
  return h(
    "div",
    { class: `banner ${look}`, role: kind === "error" ? "alert" : "note" },
    icon(mark),
    h(
      "div",
      { class: "banner-text" },
      h("strong", { text: title }),
      text ? h("p", null, sentence(text)) : null,
      facts.code ? h("p", { class: "banner-code" }, h("code", { text: facts.code })) : null,
    ),
    again ? h("button", { class: "button small", type: "button", on: { click: () => again(false) } }, icon("refresh"), "Ask again") : null,
  );
}

function wording(kind, { notice, degraded_reason: reason, retryAfter, partial }) {
  switch (kind) {
    case "degraded":
      return { title: DEGRADED[reason] ?? "This answer is limited", text: notice, look: "warn", mark: "alert" };
    case "error": {
      const wait = retryAfter ? ` Try again in ${Math.ceil(retryAfter)} s.` : "";
      const kept = partial ? " What was written until then is below; its citations were not checked." : "";
      return { title: partial ? "The answer broke off" : "No answer", text: `${notice}${wait}${kept}`, look: "bad", mark: "alert" };
    }
    case "stopped":
      return {
        title: "Stopped",
        text: partial ? "You stopped the answer. Its citations were not checked." : "You stopped before an answer came.",
        look: "calm",
        mark: "stop",
      };
    case "cut":
      return { title: "Cut short", text: "The answer reached the most tokens the model may write.", look: "warn", mark: "alert" };
    default:
      return { title: "Note", text: notice, look: "calm", mark: "info" };
  }
}

/** Every citation with its verdict. */
export function citationList(citations, chip) {
  if (citations.length === 0) return [];
  return [
    h("h3", { class: "small-title", text: "Citations" }),
    h(
      "ul",
      { class: "citation-list" },
      citations.map((c) =>
        h(
          "li",
          null,
          chip(c.n),
          verdictTag(c.verdict),
          h("span", { class: "citation-source", title: c.source }, baseName(c.source), h("span", { class: "muted", text: place(c) ? ` · ${place(c)}` : "" })),
        ),
      ),
    ),
  ];
}

/** The sources of a copied answer. */
export function sourcesAsText(citations) {
  if (citations.length === 0) return "";
  return `\n\n${citations.map((c) => `[${c.n}] ${[c.source, place(c)].filter(Boolean).join(", ")}`).join("\n")}\n`;
}

const STAGES = [
  ["recall", "Look into the cache"],
  ["embed", "Embed the question"],
  ["retrieve", "Find passages"],
  ["first_token", "First word of the model"],
  ["generate", "Write the answer"],
];

/** The model that wrote the answer; none where passages are quoted or nothing was found. */
const usedModel = (a) => (["extractive", "no_passages"].includes(a.done_reason) ? "" : a.model);

/** One line about the way of an answer, and the details behind it. */
export function howItCame(a, askFresh) {
  const line = h(
    "summary",
    { class: "how-line" },
    h("span", { class: "how-part" }, icon("model"), usedModel(a) || "No model"),
    cachePart(a.cache),
    Number.isFinite(a.timings?.total) ? h("span", { class: "how-part" }, icon("clock"), seconds(a.timings.total)) : null,
    a.usage?.output_tokens ? h("span", { class: "how-part" }, plural(a.usage.output_tokens, "token")) : null,
    a.dropped?.length ? h("span", { class: "how-part warn-text" }, `${plural(a.dropped.length, "passage")} did not fit`) : null,
    h("span", { class: "how-more" }, "Details", icon("chevron")),
  );
  return h("details", { class: "how-box" }, line, h("div", { class: "how-details" }, cacheNote(a.cache, askFresh), timingBars(a), facts(a), droppedList(a.dropped)));
}

function cachePart(cache) {
  if (cache?.status === "exact") return h("span", { class: "how-part hit" }, icon("bolt"), `From the cache, ${age(cache.age ?? 0)}`);
  if (cache?.status === "semantic") return h("span", { class: "how-part hit" }, icon("bolt"), `From a similar question, ${age(cache.age ?? 0)}`);
  return null;
}

function cacheNote(cache, askFresh) {
  if (cache?.status !== "exact" && cache?.status !== "semantic") return null;
  const text =
    cache.status === "exact"
      ? "This question was asked before. The passages behind its answer have not changed since, so the same answer is shown."
      : "The answer to a similar question is shown.";
  return h(
    "div",
    { class: "how-note" },
    h("p", { text }),
    cache.status === "semantic" && cache.original_question ? h("p", null, "Asked then: ", h("q", { dir: "auto", text: cache.original_question })) : null,
    cache.similarity ? h("p", { class: "muted", text: `Similarity ${score(cache.similarity)}` }) : null,
    h("button", { class: "text-button", type: "button", on: { click: askFresh } }, icon("refresh"), "Ask the model afresh"),
  );
}

function timingBars({ timings: t }) {
  if (!t) return null;
  const rows = STAGES.filter(([name]) => Number.isFinite(t[name]) && (t[name] > 0 || name === "retrieve"));
  const longest = Math.max(...rows.map(([name]) => t[name]), t.total ?? 0, 0.0001);
  return h(
    "table",
    { class: "timings" },
    h("caption", { class: "small-title", text: "Time" }),
    h(
      "tbody",
      null,
      [...rows, ["total", "Altogether"]].map(([name, label]) => {
        const bar = h("span", { class: "bar" });
        bar.style.width = `${Math.max(0.5, (100 * (t[name] ?? 0)) / longest)}%`;
        return h("tr", { class: name }, h("th", { scope: "row", text: label }), h("td", { class: "bar-cell", "aria-hidden": "true" }, bar), h("td", { class: "num", text: seconds(t[name] ?? 0) }));
      }),
    ),
  );
}

const METHODS = { hybrid: "Words and meaning (hybrid)", vector: "Meaning (vectors)", bm25: "Words (BM25)" };

function facts(a) {
  const method = a.retrieval?.method ?? a.method;
  const u = a.usage ?? {};
  const speed = u.output_tokens && u.output_seconds ? ` (${(u.output_tokens / u.output_seconds).toFixed(1)} a second)` : "";
  const rows = [
    ["Knowledge base", a.db],
    ["Search", METHODS[method] ?? method],
    ["Model", usedModel(a)],
    ["Tokens read", u.input_tokens ? count(u.input_tokens) : ""],
    ["Tokens written", u.output_tokens ? `${count(u.output_tokens)}${speed}` : ""],
    ["Loading the model", u.load_seconds > 0.01 ? seconds(u.load_seconds) : ""],
    ["Cache", { miss: "Not in the cache", bypass: "Not asked", exact: "Same question", semantic: "Similar question", stale: "An older answer, since no model answered", coalesced: "Shared with the same question, asked at the same time" }[a.cache?.status]],
    ["Ended", { stop: "By itself", length: "At the token limit", extractive: "Passages quoted", no_passages: "No passages found" }[a.done_reason] ?? a.done_reason],
  ];
  return h("dl", { class: "facts" }, rows.filter(([, v]) => v).map(([k, v]) => h("div", null, h("dt", { text: k }), h("dd", { text: v }))));
}

function droppedList(dropped) {
  if (!dropped?.length) return null;
  const why = { context_window: "left out: no room in the model's context window", truncated: "shortened to fit" };
  return h(
    "div",
    null,
    h("h4", { class: "small-title", text: "Passages that did not fit" }),
    h("ul", { class: "dropped" }, dropped.map((d) => h("li", { text: `${baseName(d.source)}: ${why[d.reason] ?? d.reason ?? "left out"}` }))),
  );
}
