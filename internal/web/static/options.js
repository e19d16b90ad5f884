// How to search and who answers: the panel above the question.

import { get } from "./api.js";
import { $, h } from "./dom.js";
import { language, plural } from "./format.js";
import { on, state } from "./state.js";

const METHOD_NAMES = { hybrid: "Hybrid", vector: "Meaning", bm25: "Words" };

/** Wires the panel in index.html; gives {body(query), fresh()}. */
export function createOptions() {
  const panel = $("options");
  const toggle = $("options-toggle");
  const k = $("opt-k");
  const weight = $("opt-weight");
  const model = $("opt-model");
  const fresh = $("opt-fresh");
  const picked = { languages: new Set(), versions: new Set() };

  const method = () => panel.querySelector("input[name=method]:checked").value;

  function summarise() {
    $("opt-k-value").textContent = k.value;
    $("opt-weight-value").textContent = Number(weight.value).toFixed(2);
    weight.disabled = method() !== "hybrid";
    const filters = picked.languages.size + picked.versions.size;
    const parts = [METHOD_NAMES[method()], plural(Number(k.value), "passage"), model.value, filters ? plural(filters, "filter") : "", fresh.checked ? "fresh" : ""];
    $("options-summary").textContent = parts.filter(Boolean).join(" · ");
  }

  toggle.addEventListener("click", () => {
    panel.hidden = !panel.hidden;
    toggle.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden) {
      loadModels(model).then(summarise);
      panel.querySelector("input").focus();
    }
  });
  panel.addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    e.stopPropagation(); // it closes the panel, it does not stop an answer
    toggle.click();
    toggle.focus();
  });
  panel.addEventListener("input", summarise);

  async function loadFilters() {
    for (const set of Object.values(picked)) set.clear();
    const db = state.db;
    let filters = {};
    try {
      filters = await get(`/api/filters?db=${encodeURIComponent(db)}`, { quiet: true });
    } catch {
      // No filters then: the question itself will tell what is wrong.
    }
    if (db !== state.db) return;
    drawFilter($("opt-languages"), filters.languages ?? [], picked.languages, language);
    drawFilter($("opt-versions"), filters.versions ?? [], picked.versions, (v) => v);
    summarise();
  }

  on("db", loadFilters);
  on("documents", loadFilters);
  summarise();

  return {
    fresh: () => fresh.checked,
    body(query) {
      const body = { query, db: state.db, k: Number(k.value), method: method() };
      if (body.method === "hybrid") body.bm25_weight = Number(weight.value);
      for (const [name, set] of Object.entries(picked)) if (set.size) body[name] = [...set];
      if (model.value) body.model = model.value;
      return body;
    },
  };
}

function drawFilter(box, values, set, label) {
  box.closest(".option").hidden = values.length < 2;
  box.replaceChildren(
    ...values.map((value) => {
      const input = h("input", { type: "checkbox" });
      input.addEventListener("change", () => (input.checked ? set.add(value) : set.delete(value)));
      return h("label", { class: "pick" }, input, h("span", { text: label(value) }));
    }),
  );
}

/** Fills the list of chat models and keeps the choice. */
async function loadModels(select) {
  let answer;
  if (state.health?.services?.ollama?.healthy === false) {
    select.replaceChildren(h("option", { value: "", text: "No model server answers" }));
    return;
  }
  try {
    answer = await get("/api/models");
  } catch (err) {
    select.replaceChildren(h("option", { value: "", text: `Default model (${err.message})` }));
    return;
  }
  const chosen = select.value;
  const chat = (answer.models ?? []).filter((m) => !m.capabilities?.length || m.capabilities.includes("completion"));
  select.replaceChildren(
    h("option", { value: "", text: answer.current ? `Default: ${answer.current}` : "Default model" }),
    ...chat.map((m) => h("option", { value: m.name, text: m.name })),
  );
  if (chat.some((m) => m.name === chosen)) select.value = chosen;
}
