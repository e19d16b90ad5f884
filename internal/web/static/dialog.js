// Modal dialogs: a frame for all of them, the yes-or-no question and the question for a key.

import { h, icon } from "./dom.js";

/** Opens a modal dialog. Gives {dialog, close}; `onClose` hears the value given to close, or null for Escape. */
export function open({ title, body, actions = [], className = "", onClose }) {
  let result = null;
  const dialog = h(
    "dialog",
    { class: `dialog ${className}`, "aria-label": title },
    h(
      "header",
      { class: "dialog-head" },
      h("h2", { text: title, title }),
      h("button", { class: "icon-button", type: "button", "aria-label": "Close", on: { click: () => dialog.close() } }, icon("x")),
    ),
    h("div", { class: "dialog-body" }, body),
    actions.length ? h("footer", { class: "dialog-foot" }, actions) : null,
  );
  const close = (value = null) => {
    result = value;
    dialog.close();
  };
  dialog.addEventListener("close", () => {
    dialog.remove();
    onClose?.(result);
  });
  dialog.addEventListener("click", (e) => {
    if (e.target === dialog) dialog.close(); // the backdrop
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, close };
}

/** Asks before something that cannot be undone. */
export function confirm({ title, text, action }) {
  return new Promise((resolve) => {
    const yes = h("button", { class: "button danger", type: "button", text: action, on: { click: () => box.close(true) } });
    const no = h("button", { class: "button", type: "button", text: "Cancel", on: { click: () => box.close(false) } });
    const box = open({ title, body: h("p", { text }), actions: [no, yes], onClose: (v) => resolve(v === true) });
    no.focus();
  });
}

/** Asks for an API key; null when the person does not give one. */
export function askKey(rejected) {
  return new Promise((resolve) => {
    const input = h("input", { class: "input", id: "key-input", type: "password", autocomplete: "off", spellcheck: "false", required: true });
    const form = h(
      "form",
      {
        class: "stack",
        on: {
          submit: (e) => {
            e.preventDefault();
            if (input.value.trim()) box.close(input.value.trim());
          },
        },
      },
      h("p", {
        class: rejected ? "error-text" : "",
        text: rejected ? "That key was not accepted. Check it and try again." : "This server asks for a key. It is kept until you close this tab.",
      }),
      h("label", { for: "key-input", text: "API key" }),
      input,
      h("div", { class: "row end" }, h("button", { class: "button primary", type: "submit", text: "Use key" })),
    );
    const box = open({ title: "Key needed", body: form, onClose: resolve });
    input.focus();
  });
}
