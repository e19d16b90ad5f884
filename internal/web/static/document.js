// A whole document in a dialog, scrolled to a passage: the passage tinted, the quotes marked.

import { get } from "./api.js";
import { locate, segments } from "./bytes.js";
import { open } from "./dialog.js";
import { h, icon } from "./dom.js";
import { baseName, count, place } from "./format.js";

const BLOCK = 8000; // characters a block: the browser lays out only blocks that are seen

/** `where` is a passage's metadata (or just {document_id, source}); `citations` are those of that passage. */
export async function openDocument(db, where, citations = []) {
  const body = h("div", { class: "document", tabindex: "0", "aria-busy": "true" }, h("p", { class: "muted", text: "Reading the document …" }));
  const info = h("p", { class: "document-info muted", text: [where.source, place(where)].filter(Boolean).join(" · ") });
  const toMark = h("button", { class: "text-button", type: "button", hidden: true }, icon("quote"), "Go to the passage");
  open({
    title: where.title || baseName(where.source) || "Document",
    className: "wide",
    body: [h("div", { class: "document-bar" }, info, toMark), body],
  });
  try {
    const doc = await get(`/api/docs/${encodeURIComponent(where.document_id)}?db=${encodeURIComponent(db)}`);
    const text = doc.text ?? "";
    info.append(` · ${count(text.length)} characters`);
    const mark = draw(body, text, ranges(text, where, citations));
    const go = () => scrollTo(mark);
    toMark.hidden = !mark;
    toMark.addEventListener("click", go);
    go();
  } catch (err) {
    body.replaceChildren(h("p", { class: "error-text", text: `The document cannot be shown: ${err.message}` }));
  }
  body.setAttribute("aria-busy", "false");
}

/** Blocks that were never seen have a guessed height: the way is corrected as they get their true one. */
function scrollTo(mark, steps = 4) {
  mark?.scrollIntoView({ block: "center" });
  if (mark && steps > 0) requestAnimationFrame(() => scrollTo(mark, steps - 1));
}

function ranges(text, where, citations) {
  const out = citations.map((c) => locate(text, 0, c)).filter(Boolean).map((r) => ({ ...r, kind: "quote" }));
  const passage = where.end > where.start ? locate(text, 0, { start: where.start, end: where.end }) : null;
  if (passage) out.push({ ...passage, kind: "passage" });
  return out;
}

/** Draws the text in blocks and gives the first marked element. */
function draw(body, text, marked) {
  const blocks = [];
  for (let from = 0; from < text.length; ) {
    let to = Math.min(text.length, from + BLOCK);
    const newline = text.indexOf("\n", to);
    if (to < text.length && newline >= 0 && newline < to + BLOCK) to = newline + 1;
    else if (/[\udc00-\udfff]/.test(text[to] ?? "")) to++; // not between the halves of a character
    const own = marked.map((r) => ({ ...r, from: r.from - from, to: r.to - from })).filter((r) => r.to > 0 && r.from < to - from);
    blocks.push(h("div", { class: "document-block", dir: "auto" }, segments(text.slice(from, to), own).map(piece)));
    from = to;
  }
  body.replaceChildren(...(blocks.length ? blocks : [h("p", { class: "muted", text: "This document holds no text." })]));
  return body.querySelector("mark") ?? body.querySelector(".in-passage");
}

function piece({ text, kinds }) {
  if (kinds.includes("quote")) return h("mark", { text });
  if (kinds.includes("passage")) return h("span", { class: "in-passage", text });
  return text;
}
