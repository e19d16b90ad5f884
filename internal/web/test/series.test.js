import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyHistory, merge, minutes, nearest, newest, runs, segments, stack, ticks } from "../static/series.js";

const view = (now, at, lines, started = 1) => ({ now, started, at, lines });

test("samples are added once, an hour of them is kept", () => {
  let all = merge(emptyHistory(), view(100, [90, 95], { a: [1, 2] }));
  all = merge(all, view(105, [95, 100], { a: [2, 3] }));
  assert.deepEqual(all, { started: 1, at: [90, 95, 100], lines: { a: [1, 2, 3] } });
  assert.equal(newest(all), 100);
  all = merge(all, view(3698, [3695], { a: [4] }));
  assert.deepEqual([all.at, all.lines.a], [[100, 3695], [3, 4]]);
  assert.deepEqual(merge(all, view(3702, [], {})), { started: 1, at: [3695], lines: { a: [4] } }, "a view without samples");
});

test("a server that was started anew begins anew", () => {
  const all = merge(merge(emptyHistory(), view(10, [5], { a: [1] })), view(20, [15], { a: [9] }, 2));
  assert.deepEqual(all, { started: 2, at: [15], lines: { a: [9] } });
});

test("a line that comes later has a gap before", () => {
  const all = merge(merge(emptyHistory(), view(10, [5], { a: [1] })), view(20, [15], { a: [2], b: [3] }));
  assert.deepEqual(all.lines, { a: [1, 2], b: [null, 3] });
});

test("axes have round steps up to the largest value", () => {
  assert.deepEqual(ticks(0.9), [0, 0.5, 1]);
  assert.deepEqual(ticks(3), [0, 1, 2, 3]);
  assert.deepEqual(ticks(134), [0, 50, 100, 150]);
  assert.deepEqual(ticks(0), [0, 1]);
  for (const max of [1e-4, 0.07, 1.0001, 9.99, 12345]) {
    const t = ticks(max);
    assert.ok(t.at(-1) >= max && t.length <= 5, `${max}: ${t}`);
  }
});

test("stacked lines lie on each other; a gap is one only where all have it", () => {
  assert.deepEqual(stack([[1, null, null], [2, 3, null]]), [[1, 0, null], [3, 3, null]]);
  assert.deepEqual(stack([]), []);
});

test("a line is broken at its gaps", () => {
  assert.deepEqual(runs([0, 1, 2, 3], [5, null, 6, 7]), [[[0, 5]], [[2, 6], [3, 7]]]);
});

test("a breaker's states fill the time without a hole", () => {
  const changes = [
    { name: "b", at: 20, from: "closed", to: "open" },
    { name: "other", at: 25, from: "closed", to: "open" },
    { name: "b", at: 50, from: "open", to: "half_open" },
  ];
  assert.deepEqual(segments(changes, "b", "half_open", 0, 100), [
    { state: "closed", from: 0, to: 20 },
    { state: "open", from: 20, to: 50 },
    { state: "half_open", from: 50, to: 100 },
  ]);
  assert.deepEqual(segments(changes, "b", "half_open", 30, 100).map((s) => s.state), ["open", "half_open"]);
  assert.deepEqual(segments([], "b", "closed", 0, 10), [{ state: "closed", from: 0, to: 10 }]);
  assert.deepEqual(segments(changes, "b", "half_open", 60, 100), [{ state: "half_open", from: 60, to: 100 }]);
});

test("the nearest sample, the minutes of an axis", () => {
  assert.equal(nearest([10, 20, 30], 24), 1);
  assert.equal(nearest([], 24), -1);
  assert.deepEqual(minutes(30, 330, 6), [60, 120, 180, 240, 300]);
  assert.ok(minutes(0, 3600, 6).length <= 7);
});
