// Charts of the dashboard, drawn as SVG. Which one shows what is said in dashboard.js.

import { h } from "./dom.js";
import { minutes, nearest, runs, stack, ticks } from "./series.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const MARGIN = { left: 52, right: 8, top: 8, bottom: 20 };

function svg(tag, attributes, ...children) {
  const el = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes ?? {})) el.setAttribute(name, value);
  el.append(...children);
  return el;
}

export const clock = (t) => new Date(t * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
const clockExact = (t) => new Date(t * 1000).toLocaleTimeString("en-GB");

/** The cursor that all charts share: a time, or null. */
export const cursor = {
  at: null,
  listeners: new Set(),
  move(t) {
    this.at = t;
    for (const fn of this.listeners) fn();
  },
};

/**
 * One chart. `lines`: [{name, label, kind?: "dashed"}]; `stacked` ones lie on top of each other; `format` says a value with its unit.
 * Gives {element, draw(history, from, to, changes)}.
 */
export function chart({ title, note, lines, stacked = false, format, least = 0 }) {
  const plot = h("div", { class: "plot" });
  const when = h("span", { class: "muted small when" });
  const values = new Map(lines.map((l) => [l.name, h("b")]));
  const keys = lines.map((l, i) => h("li", { class: `key line-${i + 1} ${l.look ?? ""}` }, l.label, " ", values.get(l.name)));
  const element = h("figure", { class: "card chart" }, h("figcaption", null, h("h3", { text: title }), when, h("p", { class: "muted small", text: note })), plot, h("ul", { class: "keys-list" }, keys));
  let last = null;

  function draw(history, from, to, marks = []) {
    last = [history, from, to, marks];
    const width = Math.max(plot.clientWidth, 200);
    const inner = width - MARGIN.left - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    const inView = history.at.map((t) => t >= from && t <= to);
    const raw = lines.map((l) => (history.lines[l.name] ?? history.at.map(() => null)).map((v, i) => (inView[i] ? v : null)));
    const drawn = stacked ? stack(raw) : raw;
    const max = Math.max(least, ...drawn.flat().map((v) => v ?? 0));
    const steps = ticks(max);
    const x = (t) => MARGIN.left + ((t - from) / (to - from)) * inner;
    const y = (v) => bottom - (v / steps.at(-1)) * (bottom - MARGIN.top);
    const xs = history.at.map(x);
    const parts = [];
    for (const step of steps) {
      parts.push(svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(step), y2: y(step) }));
      const text = svg("text", { class: "axis", x: MARGIN.left - 6, y: y(step) + 4, "text-anchor": "end" });
      text.textContent = format(step);
      parts.push(text);
    }
    for (const t of minutes(from, to, Math.max(2, Math.floor(inner / 70)))) {
      const text = svg("text", { class: "axis", x: x(t), y: HEIGHT - 5, "text-anchor": "middle" });
      text.textContent = clock(t);
      if (x(t) < width - 20 && x(t) > MARGIN.left + 12) parts.push(text);
    }
    for (const c of marks) {
      if (c.at < from || c.at > to || c.to === "half_open") continue;
      const mark = svg("line", { class: `mark ${c.to}`, x1: x(c.at), x2: x(c.at), y1: MARGIN.top, y2: bottom });
      mark.append(svg("title"));
      mark.firstChild.textContent = `${clockExact(c.at)}: ${c.name} ${c.from} → ${c.to}`;
      parts.push(mark);
    }
    drawn.forEach((whole, i) => {
      // A line that adds nothing to those below it would only paint them over.
      const line = stacked ? whole.map((v, j) => (raw[i][j] > 0 || raw[i][j - 1] > 0 || raw[i][j + 1] > 0 ? v : null)) : whole;
      const below = stacked && i > 0 ? drawn[i - 1] : null;
      const floor = new Map(history.at.map((_, j) => [xs[j], y(below?.[j] ?? 0)]));
      for (const run of runs(xs, line.map((v) => (v === null ? null : y(v))))) {
        const cls = `line-${i + 1} ${lines[i].look ?? ""}`;
        if (run.length === 1) {
          parts.push(svg("circle", { class: `point ${cls}`, cx: run[0][0], cy: run[0][1], r: 2 }));
          continue;
        }
        const top = run.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`);
        if (stacked) {
          const base = run.toReversed().map(([px]) => `${px.toFixed(1)},${floor.get(px).toFixed(1)}`);
          parts.push(svg("polygon", { class: `area ${cls}`, points: [...top, ...base].join(" ") }));
        }
        parts.push(svg("polyline", { class: `stroke ${cls}`, points: top.join(" ") }));
      }
    });
    const at = cursor.at === null ? history.at.length - 1 : nearest(history.at, cursor.at);
    if (cursor.at !== null && at >= 0 && history.at[at] >= from) parts.push(svg("line", { class: "cursor", x1: xs[at], x2: xs[at], y1: MARGIN.top, y2: bottom }));
    when.textContent = cursor.at === null || at < 0 ? "" : clockExact(history.at[at]);
    const said = lines.map((l) => {
      const v = history.lines[l.name]?.[at];
      const text = v === null || v === undefined ? "–" : format(v);
      values.get(l.name).textContent = text;
      return `${l.label} ${text}`;
    });
    plot.replaceChildren(svg("svg", { width, height: HEIGHT, role: "img", "aria-label": `${title}: ${said.join(", ")}` }, ...parts));
    plot.dataset.at = JSON.stringify([from, to, MARGIN.left, inner]);
  }

  const redraw = () => last && draw(...last);
  plot.addEventListener("pointermove", (e) => {
    const [from, to, left, inner] = JSON.parse(plot.dataset.at ?? "[0,1,0,1]");
    cursor.move(from + ((e.clientX - plot.getBoundingClientRect().left - left) / inner) * (to - from));
  });
  plot.addEventListener("pointerleave", () => cursor.move(null));
  cursor.listeners.add(redraw);
  new ResizeObserver(redraw).observe(plot);
  return { element, draw };
}

/** The states of one breaker as a strip. */
export function strip(label, parts, from, to) {
  const bar = h("div", { class: "strip", role: "img", "aria-label": `${label}: ${parts.map((p) => `${p.state.replace("_", "-")} from ${clock(p.from)}`).join(", ")}` });
  for (const p of parts) {
    const piece = h("span", { data: { state: p.state }, title: `${p.state.replace("_", "-")}, ${clockExact(p.from)} to ${clockExact(p.to)}` });
    piece.style.left = `${(100 * (p.from - from)) / (to - from)}%`;
    piece.style.width = `${(100 * (p.to - p.from)) / (to - from)}%`;
    bar.append(piece);
  }
  return h("div", { class: "strip-row" }, h("span", { class: "strip-name", text: label, title: label }), bar);
}
