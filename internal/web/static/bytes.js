// Places in texts. The server counts UTF-8 bytes, a JavaScript string counts UTF-16 units: everything that turns one into
// the other is here.

const width = (codePoint) => (codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4);

/** The string index of a byte offset. An offset inside a character gives that character's start. */
export function unitIndex(text, byteOffset) {
  let bytes = 0;
  for (let i = 0; i < text.length; ) {
    if (bytes >= byteOffset) return i;
    const c = text.codePointAt(i);
    bytes += width(c);
    if (bytes > byteOffset) return i;
    i += c > 0xffff ? 2 : 1;
  }
  return text.length;
}

/**
 * Where a citation's quote stands in a text that begins at byte `base` of the document. The quote itself is the proof: where
 * the offsets do not hit it, the occurrence nearest to them counts, and where there is none, nothing is marked.
 */
export function locate(text, base, { start, end, quote }) {
  const from = unitIndex(text, Math.max(0, start - base));
  if (quote === undefined || quote === "") {
    const to = unitIndex(text, Math.max(0, end - base));
    return to > from ? { from, to } : null;
  }
  if (text.startsWith(quote, from)) return { from, to: from + quote.length };
  const before = text.lastIndexOf(quote, from);
  const after = text.indexOf(quote, from);
  if (before < 0 && after < 0) return null;
  const near = after < 0 || (before >= 0 && from - before < after - from) ? before : after;
  return { from: near, to: near + quote.length };
}

/**
 * Cuts text along ranges {from, to, kind}: a list of {text, kinds} that joins to the text again. Ranges may overlap.
 */
export function segments(text, ranges) {
  const cuts = new Set([0, text.length]);
  for (const r of ranges) {
    cuts.add(Math.min(text.length, Math.max(0, r.from)));
    cuts.add(Math.min(text.length, Math.max(0, r.to)));
  }
  const at = [...cuts].sort((a, b) => a - b);
  const out = [];
  for (let i = 0; i + 1 < at.length; i++) {
    const kinds = ranges.filter((r) => r.from <= at[i] && r.to >= at[i + 1]).map((r) => r.kind);
    out.push({ text: text.slice(at[i], at[i + 1]), kinds: [...new Set(kinds)] });
  }
  return out;
}

/** A window of about `size` units that holds the range if it can, cut at spaces: {from, to}. */
export function excerpt(text, range, size) {
  if (text.length <= size) return { from: 0, to: text.length };
  const middle = range ? (range.from + Math.min(range.to, range.from + size)) / 2 : 0;
  let from = Math.max(0, Math.min(text.length - size, Math.round(middle - size / 2)));
  if (range) from = Math.min(from, range.from);
  let to = Math.min(text.length, from + size);
  if (from > 0) {
    const space = text.lastIndexOf(" ", from);
    from = space >= from - 24 && space >= 0 ? space + 1 : wholeCharacter(text, from);
  }
  if (to < text.length) {
    const space = text.indexOf(" ", to);
    to = space >= 0 && space <= to + 24 ? space : wholeCharacter(text, to);
  }
  return { from, to };
}

/** Moves an index out of the middle of a surrogate pair. */
function wholeCharacter(text, i) {
  const c = text.charCodeAt(i);
  return c >= 0xdc00 && c <= 0xdfff ? i - 1 : i;
}
