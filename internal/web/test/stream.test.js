import assert from "node:assert/strict";
import { test } from "node:test";
import { events, lineSplitter, parseEvent } from "../static/stream.js";

const sample = [{ event: "token", token: "Cầu dao 🚦" }, { event: "token", token: "a\nb" }, { event: "done", answer: "中文" }];
const wire = new TextEncoder().encode(sample.map((e) => `${JSON.stringify(e)}\n`).join(""));

/** A body that arrives in pieces cut at the given places. */
function bodyOf(bytes, size) {
  let at = 0;
  const seen = { cancelled: false };
  const body = new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + size));
      at += size;
    },
    cancel() {
      seen.cancelled = true;
    },
  });
  return { body, seen };
}

async function all(body) {
  const out = [];
  for await (const e of events(body)) out.push(e);
  return out;
}

test("events are the same wherever the network cuts, also inside a character", async () => {
  for (let size = 1; size <= wire.length; size++) {
    assert.deepEqual(await all(bodyOf(wire, size).body), sample, `pieces of ${size} bytes`);
  }
});

test("a last line without a newline still counts", async () => {
  assert.deepEqual(await all(bodyOf(wire.slice(0, -1), 5).body), sample);
});

test("blank lines are nothing, also with carriage returns", () => {
  assert.equal(parseEvent("  \r"), null);
  const lines = lineSplitter();
  assert.deepEqual(lines.push(new TextEncoder().encode("\n\n")), ["", ""]);
  assert.deepEqual(lines.end(), []);
});

test("a cut line is an error that says so, never half an event", async () => {
  await assert.rejects(all(bodyOf(wire.slice(0, -9), 11).body), /cut off or damaged/);
});

test("leaving the loop cancels the request", async () => {
  const { body, seen } = bodyOf(wire, 4);
  for await (const e of events(body)) {
    assert.equal(e.token, "Cầu dao 🚦");
    break;
  }
  assert.equal(seen.cancelled, true);
});
