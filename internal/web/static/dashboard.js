// The dashboard: the last hour of the server, asked every 5 seconds while the page is seen. The words come from the server; what is
// drawn where is said in CHARTS.

import { get, onKeyNeeded } from "./api.js";
import { chart, clock, strip } from "./chart.js";
import { askKey } from "./dialog.js";
import { $, h, sentence } from "./dom.js";
import { count, percent, plural, seconds } from "./format.js";
import { emptyHistory, merge, newest, segments } from "./series.js";

const EVERY_MS = 5000;

/** A small number with two figures. */
const figure = (v) => (v === 0 ? "0" : v >= 100 ? count(Math.round(v)) : v >= 10 ? v.toFixed(0) : v >= 1 ? v.toFixed(1).replace(".0", "") : v >= 0.01 ? String(Number(v.toPrecision(2))) : "<0.01");
const rate = (v) => `${figure(v)}/s`;
/** A time that an axis has room for. */
const brief = (s) => (s >= 90 ? `${Math.round(s / 60)} min` : seconds(s));
const whole = (v) => (Number.isInteger(v) ? count(v) : v.toFixed(1));

const CHARTS = [
  { title: "Requests", note: "A second, by how they ended", stacked: true, format: rate, flow: true, lines: [["requests_ok", "served"], ["requests_refused", "client's fault (4xx)"], ["requests_failed", "failed (5xx)", "bad"]] },
  { title: "Questions", note: "A second, by what became of them", stacked: true, format: rate, flow: true, lines: [["questions_answered", "answered"], ["questions_degraded", "passages quoted"], ["questions_refused", "nothing found"], ["questions_left", "asker left"], ["questions_failed", "failed", "bad"]] },
  { title: "First word", note: "From the call of a chat model", format: brief, flow: true, lines: [["first_word_p50", "median"], ["first_word_p95", "95th percentile"]] },
  { title: "Whole answer", note: "Questions and gateway, cached ones too", format: brief, flow: true, lines: [["whole_p50", "median"], ["whole_p95", "95th percentile"]] },
  { title: "Calls and queue", note: "At the model hosts, and waiting for a place there", format: whole, least: 1, lines: [["in_flight", "under way"], ["places", "places", "dashed"], ["waiting_chat", "chat waits"], ["waiting_embedding", "embedding waits"], ["waiting_ingest", "ingest waits"]] },
  { title: "Retries and refusals", note: "A second", stacked: true, format: rate, lines: [["retries", "tried again"], ["breaker_refused", "refused by a breaker"], ["queue_rejected", "no place", "bad"]] },
  { title: "Answer cache", note: "Look-ups a second", stacked: true, format: rate, lines: [["cache_exact", "same question"], ["cache_semantic", "similar question"], ["cache_coalesced", "joined"], ["cache_misses", "missed"]] },
  { title: "Tokens", note: "A second, by the model server's own figures", format: rate, flow: true, lines: [["tokens_written", "written"], ["tokens_read", "read"]] },
  { title: "Ingest", note: "Passages made and files refused a second", format: rate, lines: [["passages", "passages"], ["files_read", "files"], ["files_skipped", "files refused", "bad"]] },
].map((c) => ({ ...c, lines: c.lines.map(([name, label, look]) => ({ name, label, look })) }));

const charts = CHARTS.map((c) => ({ ...c, ...chart(c) }));
$("charts").replaceChildren(...charts.map((c) => c.element));

let history = emptyHistory();
let view = null;
let lost = null; // since when the server does not answer
let timer = 0;

const span = () => Number(document.querySelector('input[name="span"]:checked').value);

async function poll() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const since = newest(history);
    let next = await get(since === null ? "/api/dashboard" : `/api/dashboard?since=${since}`);
    if (history.started !== null && next.started !== history.started) next = await get("/api/dashboard");
    history = merge(history, next);
    view = next;
    lost = null;
  } catch (err) {
    lost ??= { at: Date.now() / 1000, text: err.message };
  }
  draw();
  timer = setTimeout(poll, EVERY_MS);
}

function draw() {
  drawSummary();
  if (!view) return;
  drawTiles();
  drawSpan();
  $("hosts").replaceChildren(...view.hosts.map(hostRow));
  $("foot").textContent = `Started ${new Date(view.started * 1000).toLocaleString("en-GB")}. Each point tells of the ${view.window_seconds} seconds before it; an hour is kept.${view.metrics_enabled ? " Months are Prometheus' business: /metrics." : " Requests, latencies and tokens are not counted: METRICS_ENABLED is false."}`;
}

function drawSummary() {
  const [first, ...more] = view?.findings ?? [];
  let { look, text, hint } = view?.status ?? { look: "off", text: "Reading the figures…", hint: "" };
  if (lost) [look, text, hint] = ["bad", `The server does not answer since ${clock(lost.at)}.`, `${lost.text} This page keeps trying${view ? "; what it shows is older" : ""}.`];
  $("summary").dataset.look = look;
  if ($("summary-text").textContent !== text) $("summary-text").textContent = text;
  $("summary-hint").replaceChildren(...sentence(hint));
  const list = lost && first ? [first, ...more] : more;
  $("findings").replaceChildren(...list.map((f) => h("li", { data: { look: f.look } }, h("span", { class: "dot", "aria-hidden": "true" }), h("div", null, h("strong", { text: f.text }), f.hint ? h("p", { class: "muted small" }, sentence(f.hint)) : null))));
  document.title = look === "bad" ? "(!) Dashboard – ollama-rag" : "Dashboard – ollama-rag";
}

/** The newest value of a line; null where there is none. */
const now = (name) => history.lines[name]?.at(-1) ?? null;
const total = (...names) => names.reduce((sum, n) => sum + (now(n) ?? 0), 0);

function tile(label, value, note, look = "") {
  return h("div", { class: "card tile", data: { look } }, h("span", { class: "small-title", text: label }), h("strong", { text: value }), h("span", { class: "muted small", text: note }));
}

function drawTiles() {
  const tiles = [];
  const up = view.hosts.filter((x) => x.look !== "bad").length;
  tiles.push(tile("Model hosts", `${up} of ${view.hosts.length}`, up === view.hosts.length ? "up" : up ? "the rest is down" : "none answers", up === view.hosts.length ? "" : up ? "warn" : "bad"));
  if (view.metrics_enabled) {
    const requests = total("requests_ok", "requests_refused", "requests_failed");
    const failed = requests > 0 ? total("requests_failed") / requests : 0;
    tiles.push(tile("Requests", rate(requests), failed > 0 ? `${percent(failed)} failed` : "none failed", failed > 0.05 ? "bad" : ""));
    const first = now("first_word_p95");
    tiles.push(tile("First word", first === null ? "–" : brief(first), first === null ? "no model was called" : "95th percentile", first > 10 ? "warn" : ""));
    tiles.push(tile("Tokens", rate(total("tokens_written")), "written"));
  }
  const hits = total("cache_exact", "cache_semantic");
  const asked = hits + total("cache_misses");
  tiles.push(tile("From the cache", !view.cache.enabled ? "off" : asked > 0 ? percent(hits / asked) : "–", view.cache.enabled ? `${count(view.cache.size)} of ${count(view.cache.max_size)} kept` : ""));
  const waiting = total("waiting_chat", "waiting_embedding", "waiting_ingest");
  tiles.push(tile("Waiting", count(waiting), `${plural(total("in_flight"), "call")} under way`, waiting > 0 ? "warn" : ""));
  const jobs = total("jobs_running", "jobs_waiting");
  tiles.push(tile("Ingest", jobs > 0 ? plural(jobs, "job") : "idle", total("jobs_waiting") > 0 ? `${count(total("jobs_waiting"))} waiting` : jobs > 0 ? `${rate(total("passages"))} passages` : "nothing to do"));
  $("tiles").replaceChildren(...tiles);
}

function drawSpan() {
  const to = view.now;
  const from = to - span();
  $("span-label").textContent = { 300: "The last 5 minutes", 900: "The last 15 minutes", 3600: "The last hour" }[span()];
  // Of models only those that had trouble: a row for each that never had any tells nothing.
  const rows = [];
  for (const host of view.hosts) {
    rows.push([host.name, host.name, host.state]);
    for (const m of host.models) if (m.state !== "closed" || view.changes.some((c) => c.name === m.breaker)) rows.push([m.breaker, m.breaker, m.state]);
  }
  const begin = Math.max(from, view.started);
  $("timeline").replaceChildren(...rows.map(([label, name, state]) => strip(label, segments(view.changes, name, state, begin, to), from, to)));
  for (const c of charts) {
    c.element.hidden = Boolean(c.flow) && !view.metrics_enabled;
    if (!c.element.hidden) c.draw(history, from, to, view.changes);
  }
}

function hostRow(host) {
  const models = host.models.map((m) => h("li", null, h("b", { text: m.name }), ` ${m.in_use} of ${plural(m.places, "place")} in use${host.loaded.some((l) => l.toLowerCase() === m.name.toLowerCase()) ? ", in memory" : ""}${["closed", "disabled"].includes(m.state) ? "" : `, breaker ${m.state.replace("_", "-")}`}`));
  return h(
    "div",
    { class: "host-row", data: { look: host.look } },
    h("div", null, h("span", { class: "light" }, h("span", { class: "dot", "aria-hidden": "true" }), host.name), h("p", { class: "muted small", text: host.url })),
    h("div", null, h("span", { text: host.says }), h("p", { class: "muted small", text: [host.version ? `version ${host.version}` : "", `breaker ${host.state.replace("_", "-")} since ${clock(host.since)}`].filter(Boolean).join(", ") }), host.look !== "good" && host.last_failure ? h("p", { class: "muted small", text: `last failure ${clock(host.last_failure_at)}: ${host.last_failure}` }) : null),
    h("div", null, h("span", { text: `${plural(host.in_flight, "call")} under way` }), host.loaded.length ? h("p", { class: "muted small", text: `in memory: ${host.loaded.join(", ")}` }) : null),
    models.length ? h("ul", { class: "small" }, models) : h("span", { class: "muted small", text: "no model was asked for yet" }),
  );
}

onKeyNeeded(askKey);
for (const input of document.querySelectorAll('input[name="span"]')) input.addEventListener("change", draw);
document.addEventListener("visibilitychange", poll);
poll();
