// Puts the page together: views by address (#/ask, #/documents), keys, knowledge bases, status.

import { onKeyNeeded } from "./api.js";
import { createAsk } from "./ask.js";
import { createPicker } from "./bases.js";
import { askKey } from "./dialog.js";
import { $, h, icon } from "./dom.js";
import { createDocuments } from "./documents.js";
import { loadBases } from "./state.js";
import { createStatus } from "./status.js";

onKeyNeeded(askKey);
createPicker();
const ask = createAsk();
const documents = createDocuments();
createStatus();

function route() {
  const view = location.hash === "#/documents" ? "documents" : "ask";
  for (const name of ["ask", "documents"]) {
    $(`view-${name}`).hidden = name !== view;
    const link = $(`nav-${name}`);
    if (name === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = view === "documents" ? "Documents – ollama-rag" : "ollama-rag";
  if (view === "documents") documents.shown();
  else if (matchMedia("(pointer: fine)").matches) ask.focus();
}

async function start() {
  try {
    await loadBases();
    $("page-error").hidden = true;
  } catch (err) {
    const retry = h("button", { class: "button small", type: "button", on: { click: start } }, icon("refresh"), "Try again");
    $("page-error").replaceChildren(icon("alert"), h("div", { class: "banner-text" }, h("strong", { text: "The knowledge bases cannot be read" }), h("p", { text: err.message })), retry);
    $("page-error").hidden = false;
  }
  route();
}

addEventListener("hashchange", route);
route();
start();
