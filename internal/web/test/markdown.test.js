import assert from "node:assert/strict";
import { test } from "node:test";
import { inline, parse } from "../static/markdown.js";

const BLOCKS = new Set(["p", "h", "ul", "ol", "code", "quote", "table", "hr"]);
const RUNS = new Set(["text", "strong", "em", "code", "marker"]);

/** Every text in a tree; fails on a token that is not one of ours. */
function texts(blocks) {
  const out = [];
  const run = (t) => {
    assert.ok(RUNS.has(t.type), `unknown run ${t.type}`);
    if (t.inline) t.inline.forEach(run);
    else if (t.text !== undefined) out.push(t.text);
  };
  const block = (b) => {
    assert.ok(BLOCKS.has(b.type), `unknown block ${b.type}`);
    b.inline?.forEach(run);
    b.blocks?.forEach(block);
    b.items?.forEach((item) => item.forEach(block));
    [...(b.head ?? []), ...(b.rows ?? []).flat()].forEach((cell) => cell.forEach(run));
    if (b.type === "code") out.push(b.text);
  };
  blocks.forEach(block);
  return out.join(" ");
}

test("blocks", () => {
  const types = parse("# Title\n\ntext\nmore\n\n- a\n- b\n\n3. c\n4. d\n\n```go\nx := 1\n```\n\n> quoted\n\n---\n\n| a | b |\n|---|---|\n| 1 | 2 |").map((b) => b.type);
  assert.deepEqual(types, ["h", "p", "ul", "ol", "code", "quote", "hr", "table"]);
});

test("lists keep their start, nest, and hold loose items together", () => {
  const [list] = parse("3. first\n\n4. second\n   - inner\n   - other\n5. third");
  assert.equal(list.start, 3);
  assert.equal(list.items.length, 3);
  assert.equal(list.items[1][1].type, "ul");
  assert.equal(list.items[1][1].items.length, 2);
});

test("bold, italic, code and escapes", () => {
  assert.deepEqual(inline("a **b *c*** `d*e*` \\*f\\*").map((t) => t.type), ["text", "strong", "text", "code", "text"]);
  assert.deepEqual(inline("snake_case_name and 2 * 3 * 4"), [{ type: "text", text: "snake_case_name and 2 * 3 * 4" }]);
  assert.deepEqual(inline("**open"), [{ type: "text", text: "**open" }]);
});

test("markers are markers in text and text in code", () => {
  assert.deepEqual(inline("yes [1, 2]."), [{ type: "text", text: "yes " }, { type: "marker", numbers: [1, 2] }, { type: "text", text: "." }]);
  assert.deepEqual(inline("`a[1]`"), [{ type: "code", text: "a[1]" }]);
  assert.equal(parse("**five [3]**")[0].inline[0].inline[1].type, "marker");
});

test("tags stay text, wherever they stand", () => {
  const evil = ["<script>alert(1)</script>", '<img src=x onerror="alert(1)">', "[a](javascript:alert(1))", "<b>x</b>", "&lt;i&gt;"];
  for (const e of evil) {
    for (const frame of [(s) => s, (s) => `# ${s}`, (s) => `- ${s}`, (s) => `> ${s}`, (s) => `**${s}**`, (s) => `|${s}|b|\n|--|--|\n|${s}|c|`, (s) => `\`\`\`\n${s}\n\`\`\``]) {
      assert.ok(texts(parse(frame(e))).includes(e), `${frame(e)} lost its text`);
    }
  }
});

test("any text at all, and every beginning of it, gives a tree of known tokens", () => {
  const alphabet = ["*", "**", "_", "`", "```", "\n", "\n\n", " ", "  ", "- ", "1. ", "> ", "# ", "|", "|--|--|", "[1]", "[", "]", "<b>", "a", "ầ", "🚦", "\\", "~~~", "---"];
  let seed = 7;
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  for (let round = 0; round < 400; round++) {
    const text = Array.from({ length: random(40) }, () => alphabet[random(alphabet.length)]).join("");
    texts(parse(text));
    texts(parse(text.slice(0, random(text.length + 1))));
  }
});

test("long runs of open marks take no long time", () => {
  const start = performance.now();
  for (const mark of ["**a ", "*a ", "_a ", "`a ``b ", "[1 ", "> ".repeat(50), "- "]) parse(mark.repeat(4000));
  assert.ok(performance.now() - start < 3000);
});
