import assert from "node:assert/strict";
import { test } from "node:test";
import { batches, isHidden, mergeReports } from "../static/files.js";

const file = (path, size) => ({ path, file: { size } });

test("uploads stay within both bounds, keep the order and lose nothing", () => {
  const files = [file("a", 4), file("b", 4), file("c", 4), file("big", 50), file("d", 1), file("e", 1), file("f", 1)];
  const parts = batches(files, 2, 10);
  assert.deepEqual(parts.map((p) => p.map((f) => f.path).join("")), ["ab", "c", "big", "de", "f"]);
  assert.deepEqual(parts.flat(), files);
  assert.deepEqual(batches([]), []);
});

test("hidden and system files are left out, others are not", () => {
  for (const path of [".git/config", "docs/.DS_Store", "a/node_modules/b.md", "~$report.docx", "x/Thumbs.db"]) assert.ok(isHidden(path), path);
  for (const path of ["docs/a.md", "v1.2/notes.txt", "tiếng Việt/tài liệu.pdf"]) assert.ok(!isHidden(path), path);
});

test("reports add up", () => {
  const sum = mergeReports([
    { files: 2, added: 1, skipped: 1, seconds: 1.5, notice: "n", items: [{ source: "a" }] },
    { files: 1, replaced: 1, notice: "n", items: [] },
    undefined,
  ]);
  assert.equal(sum.files, 3);
  assert.equal(sum.added + sum.replaced + sum.skipped, 3);
  assert.deepEqual(sum.notices, ["n"]);
  assert.equal(sum.items.length, 1);
});
