// The documents of a knowledge base: what is in it, and out with it.

import { get, send } from "./api.js";
import { confirm } from "./dialog.js";
import { openDocument } from "./document.js";
import { $, announce, h, icon } from "./dom.js";
import { baseName, count, date, kind, language, plural, size } from "./format.js";
import { base, changed, loadBases, on, state } from "./state.js";
import { createUpload } from "./upload.js";

const PAGE = 200;

export function createDocuments() {
  const view = $("view-documents");
  const filter = $("doc-filter");
  let docs = [];
  let limit = PAGE;
  let isStale = true;
  let timer = 0;

  async function load() {
    clearTimeout(timer);
    if (view.hidden || !state.db) {
      isStale = true;
      return;
    }
    isStale = false;
    const db = state.db;
    try {
      const answer = await get(`/api/docs?db=${encodeURIComponent(db)}`);
      if (db !== state.db) return;
      docs = answer.docs ?? [];
      draw();
      if (docs.some((d) => d.pending)) timer = setTimeout(load, 5000); // vectors are on their way
    } catch (err) {
      docs = [];
      draw(err);
    }
  }

  function draw(err) {
    const words = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const hits = docs.filter((d) => words.every((w) => `${d.source} ${d.title} ${kind(d.media_type, d.source)} ${language(d.language)}`.toLowerCase().includes(w)));
    $("doc-summary").textContent = summary();
    $("doc-tools").hidden = docs.length === 0;
    view.classList.toggle("empty", docs.length === 0 && !err);
    $("doc-list").replaceChildren(...body(hits, err));
    if (words.length) $("doc-count").textContent = `${count(hits.length)} of ${count(docs.length)}`;
    else $("doc-count").textContent = plural(docs.length, "document");
  }

  function summary() {
    const kb = base();
    if (!kb || docs.length === 0) return "";
    const pending = docs.reduce((sum, d) => sum + (d.pending ?? 0), 0);
    const parts = [plural(kb.passages ?? 0, "passage"), size(kb.bytes ?? docs.reduce((sum, d) => sum + (d.bytes ?? 0), 0)), kb.embedder?.name ? `vectors by ${kb.embedder.name}` : "searched by words only"];
    if (pending) parts.push(`${plural(pending, "passage")} without a vector yet`);
    return parts.join(" · ");
  }

  function body(hits, err) {
    if (err) return [h("div", { class: "banner bad", role: "alert" }, icon("alert"), h("div", { class: "banner-text" }, h("strong", { text: "The documents cannot be listed" }), h("p", { text: err.message })))];
    if (docs.length === 0) return [];
    if (hits.length === 0) return [h("p", { class: "muted none", text: "No document matches the filter." })];
    const more = hits.length - limit;
    return [
      h(
        "table",
        { class: "doc-table" },
        h("thead", null, h("tr", null, ["Document", "Kind", "Language", "Size", "Passages", "Added", ""].map((t, i) => h("th", { scope: "col", class: i === 3 || i === 4 ? "num" : null }, t || h("span", { class: "offscreen", text: "Actions" }))))),
        h("tbody", null, hits.slice(0, limit).map(row)),
      ),
      more > 0 ? h("button", { class: "button", type: "button", text: `Show ${count(Math.min(more, PAGE))} more`, on: { click: () => ((limit += PAGE), draw()) } }) : null,
    ].filter(Boolean);
  }

  function row(d) {
    const cell = (label, cls, ...children) => h("td", { class: cls, data: { label } }, children);
    return h(
      "tr",
      null,
      cell(
        "Document",
        "doc-name",
        h("button", { class: "doc-open", type: "button", title: d.source, on: { click: () => openDocument(state.db, { document_id: d.id, source: d.source, title: d.title }) } }, d.title || baseName(d.source)),
        h("span", { class: "doc-source muted", text: d.source }),
      ),
      cell("Kind", "", kind(d.media_type, d.source), d.pages ? h("span", { class: "pages muted", text: plural(d.pages, "page") }) : null),
      cell("Language", "", language(d.language)),
      cell("Size", "num", size(d.bytes)),
      cell("Passages", "num", count(d.chunks), d.pending ? h("span", { class: "pending", title: "These passages wait for their vectors; their words can be found already." }, icon("clock"), `${count(d.pending)} pending`) : null),
      cell("Added", "when", date(d.added)),
      cell("", "doc-actions", h("button", { class: "icon-button", type: "button", "aria-label": `Delete ${d.source}`, title: "Delete", on: { click: () => remove(d) } }, icon("trash"))),
    );
  }

  async function remove(d) {
    const yes = await confirm({
      title: "Delete this document?",
      text: `${d.source} and its ${plural(d.chunks ?? 0, "passage")} are deleted from ${state.db}. The file it was read from stays where it is.`,
      action: "Delete document",
    });
    if (!yes) return;
    try {
      await send("DELETE", "/api/docs", { sources: [d.source], db: state.db });
      announce(`${d.source} is deleted.`);
    } catch (err) {
      $("doc-error").textContent = err.message;
      return;
    }
    $("doc-error").textContent = "";
    await loadBases().catch(() => {});
    changed("documents");
  }

  filter.addEventListener("input", () => {
    limit = PAGE;
    draw();
  });
  on("db", () => {
    filter.value = "";
    limit = PAGE;
    load();
  });
  on("documents", load);
  createUpload();
  return { shown: () => isStale && load() };
}
