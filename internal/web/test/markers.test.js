import assert from "node:assert/strict";
import { test } from "node:test";
import { markerAt, markerNumbers, withoutUnfinishedMarker } from "../static/markers.js";

test("a marker holds one number or several", () => {
  assert.deepEqual(markerAt("a [12] b", 2), { numbers: [12], length: 4 });
  assert.deepEqual(markerAt("[1, 2;3]", 0), { numbers: [1, 2, 3], length: 8 });
});

test("what is not a marker is none", () => {
  for (const s of ["[]", "[a]", "[1", "[1.5]", "[12345]", "[1 2]", "[^1]", "[-1]"]) assert.equal(markerAt(s, 0), null, s);
});

test("numbers come once, in order of appearance", () => {
  assert.deepEqual(markerNumbers("x [2] y [1, 2] z [3][1] [x]"), [2, 1, 3]);
});

test("a marker in the making is held back, a whole one is not", () => {
  assert.equal(withoutUnfinishedMarker("five ["), "five");
  assert.equal(withoutUnfinishedMarker("five [1, "), "five");
  assert.equal(withoutUnfinishedMarker("five [1]"), "five [1]");
  assert.equal(withoutUnfinishedMarker("five [see"), "five [see");
});
