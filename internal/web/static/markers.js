// The markers [1] or [1, 3] by which an answer names its passages.

const MARKER = /\[(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\]/y;
const UNFINISHED = /\s*\[(?:\d[\d\s,;]{0,40})?$/;

/** The marker that begins at index i: {numbers, length}, or null. */
export function markerAt(text, i) {
  MARKER.lastIndex = i;
  const m = MARKER.exec(text);
  if (!m) return null;
  return { numbers: m[1].split(/[,;]/).map(Number), length: m[0].length };
}

/** The numbers of all markers in a text, each once, in order of appearance. */
export function markerNumbers(text) {
  const seen = new Set();
  for (let i = text.indexOf("["); i >= 0; i = text.indexOf("[", i + 1)) {
    for (const n of markerAt(text, i)?.numbers ?? []) seen.add(n);
  }
  return [...seen];
}

/** The text without a marker that is still being written at its end, so that no half marker flashes by. */
export function withoutUnfinishedMarker(text) {
  return text.replace(UNFINISHED, "");
}
