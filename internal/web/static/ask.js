// The conversation: a composer below, questions and answers above. Each question stands alone; nothing is remembered
// between them, and nothing is kept when the page is closed.

import { $, calm, h, icon } from "./dom.js";
import { count, plural } from "./format.js";
import { createOptions } from "./options.js";
import { base, on, state } from "./state.js";
import { createTurn } from "./turn.js";
import { VERDICTS } from "./verdict.js";

export function createAsk() {
  const scroller = $("conversation");
  const turns = $("turns");
  const input = $("question");
  const sendButton = $("send");
  const options = createOptions();
  let running = null;
  let last = null;

  function submit() {
    const query = input.value.trim();
    if (!query || running) return;
    input.value = "";
    grow();
    if (matchMedia("(pointer: coarse)").matches) input.blur(); // the keyboard would cover the answer
    start({ body: options.body(query), fresh: options.fresh() });
  }

  function start(ask) {
    if (running) return;
    last?.collapse();
    const turn = createTurn({ ask, onAgain: start, onEnd: () => setRunning(null) });
    $("welcome").hidden = true;
    turns.append(turn.el);
    last = turn;
    setRunning(turn);
    turn.el.scrollIntoView({ block: "start", behavior: calm() ? "auto" : "smooth" });
    turn.run();
  }

  function setRunning(turn) {
    running = turn;
    sendButton.classList.toggle("stop", Boolean(turn));
    sendButton.replaceChildren(icon(turn ? "stop" : "send"), h("span", { text: turn ? "Stop" : "Ask" }));
    sendButton.title = turn ? "Stop the answer (Escape)" : "Ask (Enter)";
    enable();
  }

  function enable() {
    sendButton.disabled = !running && !input.value.trim();
  }

  function grow() {
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight, 200)}px`;
    enable();
  }

  input.addEventListener("input", grow);
  input.addEventListener("keydown", (e) => {
    if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
    e.preventDefault();
    submit();
  });
  $("composer").addEventListener("submit", (e) => {
    e.preventDefault();
    if (running) running.stop();
    else submit();
  });
  document.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && running && !document.querySelector("dialog[open]")) running.stop();
    if (e.key === "/" && !e.target.closest("input, textarea, select, dialog") && !$("view-ask").hidden) {
      e.preventDefault();
      input.focus();
    }
  });

  const rename = () => {
    input.placeholder = state.db ? `Ask the documents in ${state.db}` : "Ask your documents";
    drawWelcome();
  };
  on("db", rename);
  on("bases", rename);
  on("health", drawWelcome);
  setRunning(null);
  drawWelcome();
  return { focus: () => input.focus({ preventScroll: true }), scroller };
}

/** What a newcomer sees: what to do next, and how to read an answer. */
function drawWelcome() {
  const box = $("welcome-next");
  const kb = base();
  const ollama = state.health?.services?.ollama;
  const noModel = ollama && (ollama.healthy === false || (!ollama.model && Boolean(ollama.error)));
  const parts = [];
  if (kb && kb.documents === 0) {
    parts.push(
      h("p", { class: "lead" }, h("b", { text: state.db }), " is empty. Add documents first: PDF, Word, Markdown, HTML, text and more."),
      h("p", null, h("a", { class: "button primary", href: "#/documents" }, icon("upload"), "Add documents")),
    );
  } else if (kb) {
    const passages = kb.passages ? `, ${count(kb.passages)} passages` : "";
    parts.push(
      h("p", { class: "lead" }, `${plural(kb.documents ?? 0, "document")}${passages} in `, h("b", { text: state.db }), ". Ask in your own words. Every answer names the passages it rests on."),
    );
  }
  if (noModel) {
    const steps = ["get a model, for example ", h("code", { text: "ollama pull llama3.1:8b" }), "."];
    if (ollama.healthy === false) steps.unshift("start Ollama (", h("code", { text: "ollama serve" }), ") and ");
    parts.push(
      h(
        "div",
        { class: "banner calm" },
        icon("info"),
        h(
          "div",
          { class: "banner-text" },
          h("strong", { text: ollama.healthy === false ? "No model server answers" : "The model server has no chat model" }),
          h("p", null, "You can ask all the same: fitting passages are quoted word for word. For written answers ", steps),
        ),
      ),
    );
  }
  const key = JSON.stringify([kb?.documents, kb?.passages, state.db, noModel, ollama?.healthy]);
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(...parts);
  if ($("legend").childElementCount) return;
  $("legend").append(
    ...Object.entries(VERDICTS).map(([name, v]) =>
      h("div", { class: "legend-item" }, h("dt", null, h("span", { class: "verdict", data: { verdict: name } }, icon(v.icon), v.label)), h("dd", { text: v.text })),
    ),
  );
}
