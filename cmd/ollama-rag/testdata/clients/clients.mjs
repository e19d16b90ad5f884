// The official clients of Ollama and OpenAI for JavaScript, unmodified: node clients.mjs GATEWAY OLLAMA CHAT_MODEL EMBEDDING_MODEL,
// run from the folder whose node_modules has them. What comes through the gateway must be what comes from Ollama itself.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const from = createRequire(process.cwd() + "/");
const load = async (name) => import(pathToFileURL(from.resolve(name)));
const { Ollama } = await load("ollama");
const { default: OpenAI } = await load("openai");

const [gateway, direct, model, embeddingModel] = process.argv.slice(2);
const messages = [{ role: "user", content: "Say hello to Anna & <Bob>." }];
const tools = [{ type: "function", function: { name: "now", description: "the time", parameters: { type: "object", properties: {} } } }];
const near = (a, b) => a.length === b.length && a.every((x, i) => Math.abs(x - b[i]) < 1e-4);

async function ollama() {
  const ours = new Ollama({ host: gateway });
  const theirs = new Ollama({ host: direct });
  const options = { temperature: 0, seed: 7, num_predict: 12 };
  const names = (await ours.list()).models.map((m) => m.model);
  assert.deepEqual(names, [...(await theirs.list()).models.map((m) => m.model), "builtin:latest"]);
  console.log("list", names);
  assert.deepEqual(await ours.show({ model }), await theirs.show({ model }));
  console.log("show");
  const said = (await ours.chat({ model, messages, options })).message.content;
  assert.equal(said, (await theirs.chat({ model, messages, options })).message.content);
  console.log("chat", said);
  const pieces = [];
  for await (const piece of await ours.chat({ model, messages, options, stream: true })) pieces.push(piece);
  assert.equal(pieces.map((p) => p.message.content).join(""), said);
  assert.ok(pieces.at(-1).done && pieces.length > 2);
  console.log("stream", pieces.length);
  await assert.rejects(ours.chat({ model, messages, tools }), (e) => e.status_code === 400 && /does not support tools/.test(e.message));
  console.log("tools error");
  const ask = { model: embeddingModel, input: ["one", "two"] };
  const expected = (await theirs.embed(ask)).embeddings;
  assert.ok((await ours.embed(ask)).embeddings.every((v, i) => near(v, expected[i])));
  assert.equal((await ours.embed({ model: "builtin", input: "one" })).embeddings[0].length, 384);
  console.log("embed");
  const stream = await ours.chat({ model, messages, stream: true, options: { num_predict: 2000 } });
  await assert.rejects(async () => {
    for await (const _ of stream) stream.abort();
  }, { name: "AbortError" });
  console.log("abort");
}

async function openai() {
  const ours = new OpenAI({ baseURL: gateway + "/v1", apiKey: "any", maxRetries: 0 });
  const theirs = new OpenAI({ baseURL: direct + "/v1", apiKey: "any" });
  const ids = async (client) => (await client.models.list()).data.map((m) => m.id);
  assert.deepEqual(await ids(ours), [...(await ids(theirs)), "builtin:latest"]);
  console.log("list");
  assert.deepEqual(await ours.models.retrieve(model), await theirs.models.retrieve(model));
  console.log("show");
  const ask = { model, messages, temperature: 0, seed: 7, max_tokens: 12 };
  const said = (await ours.chat.completions.create(ask)).choices[0].message.content;
  assert.equal(said, (await theirs.chat.completions.create(ask)).choices[0].message.content);
  console.log("chat", said);
  let streamed = "";
  for await (const chunk of await ours.chat.completions.create({ ...ask, stream: true })) streamed += chunk.choices[0]?.delta.content ?? "";
  assert.equal(streamed, said);
  console.log("stream");
  await assert.rejects(ours.chat.completions.create({ model, messages, tools }), (e) => e.status === 400 && /does not support tools/.test(e.message));
  console.log("tools error");
  const vectors = async (client) => (await client.embeddings.create({ model: embeddingModel, input: ["one", "two"] })).data.map((d) => d.embedding);
  const expected = await vectors(theirs);
  assert.ok((await vectors(ours)).every((v, i) => near(v, expected[i])));
  assert.equal((await ours.embeddings.create({ model: "builtin", input: "one" })).data[0].embedding.length, 384);
  console.log("embed");
  const stream = await ours.chat.completions.create({ model, messages, stream: true, max_tokens: 2000 });
  for await (const _ of stream) stream.controller.abort();
  console.log("abort");
}

// What is kept is said to every client in its own form, whichever of them asked first.
async function fromMemory() {
  const on = { "X-Ollama-Rag-Cache": "on", Authorization: "Bearer any" };
  const kept = { ...on, "Cache-Control": "only-if-cached" };
  const chat = async (headers, content, stream) => {
    const got = await new Ollama({ host: gateway, headers }).chat({ model, messages: [{ role: "user", content }], stream, options: { temperature: 0, num_predict: 400 } });
    const pieces = [];
    if (stream) for await (const piece of got) pieces.push(piece);
    else pieces.push(got);
    const last = pieces.at(-1);
    assert.ok(last.done && last.done_reason === "stop" && last.total_duration > 0, JSON.stringify(last));
    return [pieces.map((p) => p.message.content).join(""), last.eval_count];
  };
  const completion = async (headers, content, stream) => {
    const client = new OpenAI({ baseURL: gateway + "/v1", apiKey: "any", maxRetries: 0, defaultHeaders: headers });
    const got = await client.chat.completions.create({ model, messages: [{ role: "user", content }], temperature: 0, max_tokens: 400, stream, ...(stream ? { stream_options: { include_usage: true } } : {}) });
    if (!stream) return [got.choices[0].message.content, got.usage.completion_tokens];
    const chunks = [];
    for await (const chunk of got) chunks.push(chunk);
    return [chunks.map((c) => c.choices[0]?.delta.content ?? "").join(""), chunks.at(-1).usage.completion_tokens];
  };
  const forms = [chat, completion].flatMap((ask) => [[ask, false], [ask, true]]);
  for (const [i, [ask, stream]] of forms.entries()) {
    const text = `greetings number ${i}`;
    await assert.rejects(ask(kept, text, stream), (e) => (e.status_code ?? e.status) === 504);
    const said = await ask(on, text, stream);
    for (const [other, streamed] of forms) assert.deepEqual(await other(kept, text, streamed), said);
  }
  console.log("from memory");
}

await ollama();
await openai();
await fromMemory();
