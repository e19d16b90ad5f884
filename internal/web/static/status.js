// How the machine is doing: one line at the bottom, and a panel behind it. Asked every 5 seconds, only while the page is seen.

import { get, health } from "./api.js";
import { $, h, icon, sentence } from "./dom.js";
import { count, percent, plural, size } from "./format.js";
import { changed, state } from "./state.js";

const EVERY_MS = 5000;

const BREAKER = {
  closed: { label: "closed", look: "good", text: "Calls go through." },
  open: { label: "open", look: "bad", text: "Calls are refused until the server has rested." },
  disabled: { label: "off", look: "off", text: "No breaker stands before this host." },
  half_open: { label: "half-open", look: "warn", text: "A few calls probe whether the server is back." },
};

const breakerState = (s) => BREAKER[String(s ?? "").toLowerCase().replace("-", "_")] ?? { label: s || "unknown", look: "off", text: "" };

export function createStatus() {
  const strip = $("status-strip");
  const panel = $("status-panel");
  let timer = 0;
  let models = null;

  const isOpen = () => !panel.hidden;

  async function poll() {
    clearTimeout(timer);
    if (document.hidden) return;
    state.health = await health();
    changed("health");
    draw();
    timer = setTimeout(poll, EVERY_MS);
  }

  function draw() {
    strip.replaceChildren(...stripParts(state.health), icon("chevron"));
    if (isOpen()) $("status-cards").replaceChildren(...cards(state.health, models));
  }

  async function toggle(isToOpen = !isOpen()) {
    panel.hidden = !isToOpen;
    strip.setAttribute("aria-expanded", String(isToOpen));
    draw();
    if (!isToOpen) return;
    $("status-close").focus();
    if (state.health?.services?.ollama?.healthy === false) return; // nobody there to name models
    try {
      models = await get("/api/models", { quiet: true });
    } catch {
      models = null;
    }
    draw();
  }

  strip.addEventListener("click", () => toggle());
  $("status-close").addEventListener("click", () => {
    toggle(false);
    strip.focus();
  });
  panel.addEventListener("keydown", (e) => {
    if (e.key !== "Escape") return;
    e.stopPropagation();
    toggle(false);
    strip.focus();
  });
  document.addEventListener("click", (e) => {
    if (isOpen() && !e.composedPath().includes(panel) && !e.composedPath().includes(strip)) toggle(false);
  });
  document.addEventListener("visibilitychange", poll);
  draw();
  poll();
}

const light = (look, label) => h("span", { class: "light", data: { look } }, h("span", { class: "dot", "aria-hidden": "true" }), label);

/** The worst breaker decides what the line says. */
function worst(breakers) {
  const order = ["bad", "warn", "off", "good"];
  return Object.values(breakers ?? {})
    .map((b) => breakerState(b.state))
    .sort((a, b) => order.indexOf(a.look) - order.indexOf(b.look))[0];
}

function stripParts(x) {
  if (x === null) return [light("bad", "Server not reachable")];
  const ollama = x.services?.ollama;
  const breaker = worst(x.circuit_breaker);
  const pool = x.connection_pool;
  const cache = x.semantic_cache;
  const overall = { healthy: ["good", "Ready"], degraded: ["warn", "Limited"], unhealthy: ["bad", "Not working"] }[x.status] ?? ["off", x.status ?? "Unknown"];
  const label = x.status === "degraded" && ollama?.healthy === false ? "No model server" : overall[1];
  const part = (cls, name, value, look) => h("span", { class: `strip-part ${cls}` }, `${name} `, look ? light(look, value) : h("b", { text: value }));
  return [
    light(overall[0], label),
    ollama?.model ? h("span", { class: "strip-part model", text: ollama.model }) : null,
    breaker ? part("breaker", "Breaker", breaker.label, breaker.look) : null,
    pool ? part("pool", "Connections", `${count(pool.in_use)} of ${count(poolSize(pool))} in use`) : null,
    cache ? part("cache", "Cache", cache.enabled === false ? "off" : `${percent(cache.hit_rate)} hits`) : null,
  ].filter(Boolean);
}

function cards(x, models) {
  if (x === null) return [card("Server", "server", [h("p", { text: "The server does not answer. Is ollama-rag still running? This page keeps trying." })])];
  const columns = [[modelCard(x, models), storeCard(x)], [breakerCard({ ...x.circuit_breaker, ...notClosed(x.circuit_breaker_models) })], [poolCard(x.connection_pool), cacheCard(x.semantic_cache)]];
  return columns.map((c) => c.filter(Boolean)).filter((c) => c.length).map((c) => h("div", { class: "status-column" }, c));
}

function card(title, mark, body) {
  return h("section", { class: "card status-card" }, h("h3", null, icon(mark), title), body);
}

function list(rows) {
  return h("dl", { class: "figures" }, rows.filter(([, v]) => v !== undefined && v !== null && v !== "").map(([k, v]) => h("div", null, h("dt", { text: k }), h("dd", null, v))));
}

/** A closed breaker says nothing good of a host when none can be reached. */
function hostLook(host, service) {
  const { look } = breakerState(host.state);
  return service.healthy === false && look === "good" ? "bad" : look;
}

/** How many calls wait for a place. */
const waiting = (queue) => Object.values(queue?.waiting ?? {}).reduce((sum, n) => sum + n, 0);

function modelCard(x, models) {
  const s = x.services?.ollama ?? {};
  const names = (models?.models ?? []).map((m) => `${m.name}${m.size ? ` (${size(m.size)})` : ""}`);
  return card("Model server", "model", [
    h("p", null, s.healthy ? light("good", "Answers") : light("bad", "Does not answer")),
    s.error ? h("p", { class: "small" }, sentence(s.error)) : null,
    s.healthy === false && !s.error ? h("p", { class: "small muted" }, "Start it with ", h("code", { text: "ollama serve" }), ". Until then passages are quoted.") : null,
    (s.hosts ?? []).length
      ? h("ul", { class: "hosts" }, s.hosts.map((host) => h("li", null, light(hostLook(host, s), host.name ?? host.url), h("span", { class: "muted small", text: [host.url !== host.name ? host.url : "", host.in_flight ? `${host.in_flight} at work` : "", host.reachable === false ? "not reached" : ""].filter(Boolean).join(" · ") }))))
      : null,
    list([["Model", s.model || models?.current], ["Waiting for it", waiting(x.queue) ? count(waiting(x.queue)) : ""]]),
    names.length ? h("details", { class: "small" }, h("summary", { text: plural(names.length, "model") }), h("ul", null, names.map((text) => h("li", { text })))) : null,
  ]);
}

/** Breakers of models are of interest while they are not closed. */
const notClosed = (breakers) => Object.fromEntries(Object.entries(breakers ?? {}).filter(([, b]) => !["closed", "disabled"].includes(b.state)));

function breakerCard(breakers) {
  const names = Object.keys(breakers ?? {});
  if (names.length === 0) return null;
  return card(
    "Circuit breaker",
    "shield",
    names.map((name) => {
      const b = breakers[name] ?? {};
      const s = breakerState(b.state);
      return h(
        "div",
        { class: "breaker-box" },
        h("p", { class: "row spread" }, h("span", { class: "breaker-name", text: name, title: name }), h("span", { class: "pill", data: { look: s.look }, title: s.text, text: s.label })),
        b.retry_after_seconds > 0 ? h("p", { class: "small", text: `Tries again in ${Math.ceil(b.retry_after_seconds)} s.` }) : null,
        b.last_failure && s.look !== "good" ? h("p", { class: "small", text: `Last failure: ${b.last_failure}` }) : null,
        list([
          ["Calls", count(b.total_calls)],
          ["Good", count(b.success_calls)],
          ["Failed", count(b.failure_calls)],
          ["Refused", count(b.rejected_calls)],
          ["Failures in a row", count(b.consecutive_failures)],
        ]),
      );
    }),
  );
}

function meter(parts, total, label) {
  const bar = h("div", { class: "meter", role: "img", "aria-label": label });
  for (const [cls, n] of parts) {
    const part = h("span", { class: cls });
    part.style.width = `${total > 0 ? (100 * (n ?? 0)) / total : 0}%`;
    bar.append(part);
  }
  return bar;
}

/** The bound of the pool is one for each host. */
const poolSize = (p) => (p.maxsize ?? 0) * Math.max(1, Object.keys(p.clients ?? {}).length);

function poolCard(p) {
  if (!p) return null;
  const most = poolSize(p);
  return card("Connection pool", "plug", [
    meter([["a", p.in_use], ["b", p.idle]], most, `${p.in_use ?? 0} in use and ${p.idle ?? 0} idle of ${most}`),
    list([
      ["In use", count(p.in_use)],
      ["Idle", count(p.idle)],
      ["At most", count(most)],
      ["Requests so far", count(p.total_requests)],
    ]),
  ]);
}

function cacheCard(c) {
  if (!c) return null;
  if (c.enabled === false) return card("Answer cache", "bolt", [h("p", { class: "muted", text: "Switched off." })]);
  const asked = (c.hits ?? 0) + (c.misses ?? 0);
  return card("Answer cache", "bolt", [
    meter([["a", c.exact_hits], ["b", c.semantic_hits]], asked, `${c.hits ?? 0} hits of ${asked}`),
    list([
      ["Hit rate", percent(c.hit_rate)],
      ["Same question", count(c.exact_hits)],
      ["Similar question", count(c.semantic_hits)],
      ["Misses", count(c.misses)],
      ["Answers kept", `${count(c.size)} of ${count(c.max_size)}`],
    ]),
  ]);
}

function storeCard(x) {
  const d = x.services?.database;
  if (!d) return null;
  return card("Store", "database", [
    h("p", null, d.healthy === false ? light("bad", "Does not answer") : light("good", "Answers")),
    list([["Documents", d.documents === undefined ? "" : count(d.documents)], ["Passages", d.passages === undefined ? "" : count(d.passages)], ["Version", x.version]]),
  ]);
}
