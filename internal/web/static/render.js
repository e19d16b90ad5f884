// Markdown's tree -> DOM. Text becomes text nodes; nothing else can.

import { parse } from "./markdown.js";
import { h } from "./dom.js";

/** Draws blocks into a container and, drawn again, touches only those that changed: what one reads does not flicker. */
export function markdownView(container, chip) {
  let drawn = []; // what each child was made from
  return {
    update(text) {
      const blocks = parse(text);
      const marks = blocks.map((b) => JSON.stringify(b));
      blocks.forEach((b, i) => {
        if (marks[i] === drawn[i]) return;
        const el = block(b, chip);
        if (container.children[i]) container.children[i].replaceWith(el);
        else container.append(el);
      });
      while (container.children.length > blocks.length) container.lastElementChild.remove();
      drawn = marks;
    },
  };
}

function block(b, chip) {
  const runs = (tokens) => tokens.map((t) => run(t, chip));
  switch (b.type) {
    case "h":
      return h(`h${Math.min(6, b.level + 2)}`, null, runs(b.inline));
    case "ul":
    case "ol":
      return h(b.type, b.start > 1 ? { start: b.start } : null, b.items.map((item) => h("li", null, item.map((x) => block(x, chip)))));
    case "code":
      return h("pre", { tabindex: "0" }, h("code", { text: b.text }));
    case "quote":
      return h("blockquote", null, b.blocks.map((x) => block(x, chip)));
    case "hr":
      return h("hr");
    case "table":
      return h(
        "div",
        { class: "table-scroll" },
        h(
          "table",
          null,
          h("thead", null, h("tr", null, b.head.map((c) => h("th", { scope: "col" }, runs(c))))),
          h("tbody", null, b.rows.map((r) => h("tr", null, r.map((c) => h("td", null, runs(c)))))),
        ),
      );
    default:
      return h("p", null, runs(b.inline));
  }
}

function run(token, chip) {
  switch (token.type) {
    case "strong":
    case "em":
      return h(token.type, null, token.inline.map((t) => run(t, chip)));
    case "code":
      return h("code", { text: token.text });
    case "marker":
      return h("span", { class: "chips" }, token.numbers.map(chip));
    default:
      return token.text;
  }
}
