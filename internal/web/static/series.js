// What the dashboard knows of the last hour, and the geometry of its charts. Pure: tested without a browser.

export const HISTORY_SECONDS = 3600;

export const emptyHistory = () => ({ started: null, at: [], lines: {} });

/** The time from which on samples are missing; null: all of them. */
export const newest = (history) => history.at.at(-1) ?? null;

/** Adds the samples of a view to a history. Another start of the server begins anew: its counters did, too. */
export function merge(history, view) {
  const same = history.started === view.started;
  const old = same ? history : emptyHistory();
  const known = newest(old) ?? -Infinity;
  const fresh = view.at.flatMap((t, i) => (t > known ? [i] : []));
  const all = [...old.at, ...fresh.map((i) => view.at[i])];
  const from = all.findIndex((t) => t >= view.now - HISTORY_SECONDS);
  const drop = from < 0 ? all.length : from;
  const lines = {};
  for (const [name, values] of Object.entries(view.lines)) {
    const before = old.lines[name] ?? old.at.map(() => null);
    lines[name] = [...before, ...fresh.map((i) => values[i])].slice(drop);
  }
  if (fresh.length === 0) for (const [name, values] of Object.entries(old.lines)) lines[name] = values.slice(drop);
  return { started: view.started, at: all.slice(drop), lines };
}

/** Round steps from 0 to at least `max`: at most `most` of them above 0. */
export function ticks(max, most = 3) {
  if (!(max > 0)) return [0, 1];
  const rough = max / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * (1 - 1e-9));
  const out = [];
  for (let i = 0; (i - 1) * step < max * (1 - 1e-9); i++) out.push(Number((i * step).toPrecision(12)));
  return out;
}

/** Each line on top of the ones before it. A gap in one is a gap in none: it counts as 0 there, unless all have it. */
export function stack(lines) {
  const sums = lines[0]?.map(() => 0) ?? [];
  const gap = sums.map((_, i) => lines.every((l) => l[i] === null));
  return lines.map((line) => line.map((v, i) => (gap[i] ? null : (sums[i] += v ?? 0))));
}

/** Runs of points without a gap: [[x, y], …]. A point with gaps on both sides is a run of one. */
export function runs(xs, ys) {
  const out = [];
  let run = null;
  ys.forEach((y, i) => {
    if (y === null || y === undefined) {
      run = null;
      return;
    }
    if (!run) out.push((run = []));
    run.push([xs[i], y]);
  });
  return out;
}

/** How a breaker stood between two times: [{state, from, to}], oldest first. `now` is how it stands at the end. */
export function segments(changes, name, now, from, to) {
  const own = changes.filter((c) => c.name === name && c.at <= to).sort((a, b) => a.at - b.at);
  const out = [];
  let at = from;
  let state = own[0]?.from ?? now;
  for (const c of own) {
    if (c.at > at) {
      out.push({ state, from: at, to: c.at });
      at = c.at;
    }
    state = c.to;
  }
  out.push({ state, from: at, to });
  return out.filter((s) => s.to > s.from);
}

/** The sample nearest to a time. */
export function nearest(at, t) {
  let best = -1;
  at.forEach((x, i) => {
    if (best < 0 || Math.abs(x - t) < Math.abs(at[best] - t)) best = i;
  });
  return best;
}

/** Whole minutes between two times for the axis, at most `most` of them. */
export function minutes(from, to, most = 6) {
  const span = (to - from) / 60;
  const step = [1, 2, 5, 10, 15, 20, 30].find((m) => span / m <= most) ?? 60;
  const out = [];
  for (let t = Math.ceil(from / (step * 60)) * step * 60; t <= to; t += step * 60) out.push(t);
  return out;
}
