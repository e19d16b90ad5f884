import assert from "node:assert/strict";
import { test } from "node:test";
import { excerpt, locate, segments, unitIndex } from "../static/bytes.js";

const text = "Cầu dao mở sau 5 lần lỗi 🚦 rồi đóng. 中文句子。 e\u0301 plain";
const bytes = (s) => new TextEncoder().encode(s).length;

test("the index of a byte offset is the place where that many bytes precede", () => {
  for (let i = 0; i <= text.length; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0xdc00 && c <= 0xdfff) continue; // not a place between characters
    assert.equal(unitIndex(text, bytes(text.slice(0, i))), i);
  }
});

test("offsets inside a character give its start, those past the end give the end", () => {
  const flag = text.indexOf("🚦");
  const at = bytes(text.slice(0, flag));
  for (const inside of [1, 2, 3]) assert.equal(unitIndex(text, at + inside), flag);
  assert.equal(unitIndex(text, 1e9), text.length);
  assert.equal(unitIndex("", 5), 0);
});

test("a quote is found by its bytes in a passage that begins in the middle of a document", () => {
  const quote = "lần lỗi 🚦 rồi";
  const base = 1234;
  const start = base + bytes(text.slice(0, text.indexOf(quote)));
  const found = locate(text, base, { start, end: start + bytes(quote), quote });
  assert.equal(text.slice(found.from, found.to), quote);
});

test("of two equal sentences the one at the offset is marked", () => {
  const twice = "Vâng. Khác. Vâng.";
  const at = twice.lastIndexOf("Vâng");
  const start = bytes(twice.slice(0, at));
  assert.equal(locate(twice, 0, { start, end: start + 6, quote: "Vâng." }).from, at);
});

test("wrong offsets fall back to the nearest occurrence, a strange quote marks nothing", () => {
  assert.equal(locate("abc x abc", 0, { start: 7, end: 10, quote: "abc" }).from, 6);
  assert.equal(locate("abc", 0, { start: 0, end: 3, quote: "xyz" }), null);
  assert.deepEqual(locate("abcdef", 0, { start: 2, end: 4 }), { from: 2, to: 4 });
});

test("segments join to the text again and carry every range over them", () => {
  const parts = segments("0123456789", [
    { from: 2, to: 8, kind: "passage" },
    { from: 4, to: 6, kind: "quote" },
    { from: 9, to: 99, kind: "quote" },
  ]);
  assert.equal(parts.map((p) => p.text).join(""), "0123456789");
  assert.deepEqual(
    parts.map((p) => [p.text, p.kinds.join()]),
    [["01", ""], ["23", "passage"], ["45", "passage,quote"], ["67", "passage"], ["8", ""], ["9", "quote"]],
  );
  assert.deepEqual(segments("", []), []);
});

test("an excerpt holds the range and never half a character", () => {
  const long = `${"từ ngữ 🚦 ".repeat(80)}ĐÂY${" 中文🚦".repeat(90)}`;
  const from = long.indexOf("ĐÂY");
  for (let size = 20; size < 200; size += 7) {
    const w = excerpt(long, { from, to: from + 3 }, size);
    assert.ok(w.from <= from && w.to >= from + 3, `size ${size}`);
    assert.ok(long.slice(w.from, w.to).isWellFormed?.() ?? true);
  }
  assert.deepEqual(excerpt("short", null, 100), { from: 0, to: 5 });
});
