// Knowledge bases: the picker in the header and the dialog that makes, prefers and deletes them.

import { send } from "./api.js";
import { confirm, open } from "./dialog.js";
import { $, announce, h, icon } from "./dom.js";
import { plural, size } from "./format.js";
import { changed, chooseBase, loadBases, on, state } from "./state.js";

const MANAGE = "\u0000manage";
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export function createPicker() {
  const select = $("base");
  const draw = () => {
    const known = state.bases.length ? state.bases : [{ name: state.db || "default" }];
    select.replaceChildren(...known.map((b) => h("option", { value: b.name, text: b.name })), h("option", { value: MANAGE, text: "New or manage …" }));
    select.value = state.db;
  };
  select.addEventListener("change", () => {
    if (select.value !== MANAGE) return chooseBase(select.value);
    select.value = state.db;
    manage();
  });
  on("bases", draw);
  on("db", draw);
  draw();
}

function manage() {
  const message = h("p", { class: "error-text", role: "alert" });
  const list = h("ul", { class: "base-list" });
  const name = h("input", { class: "input", id: "base-name", maxlength: "64", autocomplete: "off", spellcheck: "false", placeholder: "for example handbook" });
  const form = h(
    "form",
    { class: "stack" },
    h("label", { for: "base-name", text: "New knowledge base" }),
    h("div", { class: "row" }, name, h("button", { class: "button primary", type: "submit" }, icon("plus"), "Create")),
    h("p", { class: "muted small", text: "Letters, digits, dot, dash and underscore; a letter or digit first." }),
  );

  const attempt = async (work) => {
    message.textContent = "";
    try {
      await work();
      await loadBases();
    } catch (err) {
      message.textContent = err.message;
    }
    draw();
  };

  form.addEventListener("submit", (e) => {
    e.preventDefault();
    const wanted = name.value.trim();
    if (!NAME.test(wanted)) {
      message.textContent = "That name does not work: use letters, digits, dot, dash and underscore, a letter or digit first.";
      return;
    }
    attempt(async () => {
      await send("POST", "/api/dbs/create", { name: wanted });
      await loadBases();
      chooseBase(wanted);
      name.value = "";
      announce(`${wanted} is made and chosen.`);
    });
  });

  function draw() {
    list.replaceChildren(...state.bases.map(row));
  }

  function row(b) {
    const isChosen = b.name === state.db;
    const isPreferred = b.name === state.preferred;
    return h(
      "li",
      { class: isChosen ? "base chosen" : "base" },
      h(
        "button",
        { class: "base-name", type: "button", "aria-pressed": String(isChosen), on: { click: () => (chooseBase(b.name), draw()) } },
        h("span", null, b.name, isChosen ? h("span", { class: "tag" }, icon("check"), "Chosen") : null),
        h("span", { class: "muted small", text: [plural(b.documents ?? 0, "document"), plural(b.passages ?? 0, "passage"), size(b.bytes ?? 0)].join(" · ") }),
      ),
      h(
        "button",
        {
          class: isPreferred ? "icon-button on" : "icon-button",
          type: "button",
          "aria-pressed": String(isPreferred),
          "aria-label": `Open the page with ${b.name}`,
          title: isPreferred ? "The page opens with this one" : "Open the page with this one",
          on: { click: () => attempt(() => send("POST", "/api/dbs/use", { name: b.name })) },
        },
        icon("star"),
      ),
      h("button", { class: "icon-button", type: "button", "aria-label": `Delete ${b.name}`, title: "Delete", on: { click: () => remove(b) } }, icon("trash")),
    );
  }

  async function remove(b) {
    const yes = await confirm({
      title: `Delete ${b.name}?`,
      text: `${plural(b.documents ?? 0, "document")} and all passages of this knowledge base are deleted. The files they were read from stay where they are.`,
      action: "Delete knowledge base",
    });
    if (yes) await attempt(() => send("DELETE", `/api/dbs/${encodeURIComponent(b.name)}`));
  }

  draw();
  open({ title: "Knowledge bases", body: [list, message, form], onClose: () => changed("bases") });
}
