// The passages beside an answer: one card each, opened where the answer cites it, with the quote marked.

import { excerpt, locate, segments } from "./bytes.js";
import { calm, h, icon } from "./dom.js";
import { baseName, place, plural, score } from "./format.js";
import { verdictTag } from "./verdict.js";

const SHORT = 420;
const LABELS = { quoted: "Quoted for the answer", inferred: "Covers, though the model did not cite it" };

/** The panel of one answer. `openDocument(meta, citations)` shows a document, `showChip(n)` goes back to the text. */
export function passagePanel({ openDocument, showChip }) {
  const title = h("h3", { class: "panel-title", text: "Passages" });
  const list = h("ol", { class: "passages" });
  const el = h("aside", { class: "evidence", "aria-label": "Passages", hidden: true }, title, list);
  let cards = [];

  return {
    el,
    get size() {
      return cards.length;
    },
    show(metas, texts) {
      const top = Math.max(...metas.map((m) => m.score ?? 0), 0);
      cards = metas.map((meta, i) => passageCard({ meta, text: texts[i] ?? meta.text ?? "", top, n: meta.n ?? i + 1, openDocument, showChip }));
      list.replaceChildren(...cards.map((c) => c.el));
      title.textContent = plural(cards.length, "passage");
      el.hidden = cards.length === 0;
    },
    /** Marks the citations and opens the cited cards; where nothing is cited, the best one. */
    cite(citations) {
      for (const card of cards) card.cite(citations.filter((c) => c.n === card.n));
      if (citations.length === 0) cards[0]?.toggle(true);
    },
    collapse() {
      for (const card of cards) card.toggle(false);
    },
    /** The mouse rests on a chip: its passage lights up; the page itself does not move. */
    hover(n, isOver) {
      const card = cards.find((c) => c.n === n);
      card?.el.classList.toggle("hot", isOver);
      if (isOver && card && el.scrollHeight > el.clientHeight + 1) scrollWithin(el, card.el);
    },
    focus(n) {
      const card = cards.find((c) => c.n === n);
      if (!card) return;
      for (const other of cards) other.el.classList.toggle("active", other === card);
      card.toggle(true);
      card.el.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
      card.head.focus({ preventScroll: true });
    },
  };
}

function scrollWithin(box, el) {
  const top = el.offsetTop - box.offsetTop;
  if (top >= box.scrollTop && top + el.offsetHeight <= box.scrollTop + box.clientHeight) return;
  box.scrollTo({ top: Math.max(0, top - 48), behavior: calm() ? "auto" : "smooth" });
}

function passageCard({ meta, text, top, n, openDocument, showChip }) {
  let citations = [];
  let whole = false;
  const id = `p${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  const body = h("div", { class: "passage-body", id, hidden: true });
  const verdicts = h("span", { class: "passage-verdict" });
  const bar = h("span", { class: "score-bar", "aria-hidden": "true" }, h("span"));
  bar.firstChild.style.width = `${top > 0 ? Math.max(4, Math.round((100 * (meta.score ?? 0)) / top)) : 0}%`;
  const head = h(
    "button",
    { class: "passage-head", type: "button", "aria-expanded": "false", "aria-controls": id, on: { click: () => toggle(body.hidden) } },
    h("span", { class: "number", text: String(n) }),
    h(
      "span",
      { class: "passage-where" },
      h("span", { class: "passage-source", text: baseName(meta.source) || meta.title || "Passage", title: meta.source }),
      h("span", { class: "passage-place", text: place(meta) || (meta.title ?? "") }),
    ),
    verdicts,
    h("span", { class: "passage-score", title: "Score of the search" }, score(meta.score), bar),
  );
  const el = h("li", { class: "passage", data: { n } }, head, body);

  function toggle(isOpen) {
    body.hidden = !isOpen;
    head.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) draw();
  }

  function draw() {
    const marks = citations.map((c) => locate(text, meta.start ?? 0, c)).filter(Boolean);
    const window = whole ? { from: 0, to: text.length } : excerpt(text, marks[0], SHORT);
    const part = text.slice(window.from, window.to);
    const ranges = marks.map((m) => ({ from: m.from - window.from, to: m.to - window.from, kind: "quote" }));
    const shortened = whole || window.from > 0 || window.to < text.length;
    body.replaceChildren(
      ...citations.map((c) => claimLine(c, showChip)),
      h(
        "p",
        { class: "passage-text", dir: "auto", lang: meta.language || null },
        window.from > 0 ? "… " : null,
        segments(part, ranges).map((s) => (s.kinds.length ? h("mark", { text: s.text }) : s.text)),
        window.to < text.length ? " …" : null,
      ),
      h(
        "div",
        { class: "passage-foot" },
        h("span", { class: "scores" }, scores(meta)),
        shortened ? textButton(whole ? "Show less" : "Whole passage", () => ((whole = !whole), draw())) : null,
        meta.document_id ? textButton("Open document", () => openDocument(meta, citations), "file") : null,
      ),
    );
  }

  return {
    el,
    head,
    n,
    toggle,
    cite(own) {
      citations = own;
      verdicts.replaceChildren(...own.slice(0, 1).map((c) => verdictTag(c.verdict)));
      el.classList.toggle("cited", own.length > 0);
      if (own.length > 0 || !body.hidden) toggle(true);
    },
  };
}

function claimLine(citation, showChip) {
  return h(
    "p",
    { class: "claim", data: { verdict: citation.verdict } },
    h("span", { class: "claim-label", text: LABELS[citation.verdict] ?? "Cited for" }),
    citation.claim && citation.verdict !== "quoted"
      ? h("button", { class: "claim-text", type: "button", title: "Show in the answer", text: citation.claim, on: { click: () => showChip(citation.n) } })
      : null,
  );
}

function scores(meta) {
  const parts = [
    ["score", meta.score],
    ["words (BM25)", meta.bm25],
    ["meaning (cosine)", meta.cosine],
  ];
  return parts
    .filter(([, x]) => Number.isFinite(x))
    .map(([name, x]) => h("span", { class: "score-part" }, `${name} `, h("b", { text: score(x) })));
}

function textButton(label, onClick, iconName) {
  return h("button", { class: "text-button", type: "button", on: { click: onClick } }, iconName ? icon(iconName) : null, label);
}
