// Light Markdown -> a tree of plain values. It never makes HTML: whatever it does not know stays text, tags included.
//
//   blocks: {type: "p" | "h" | "ul" | "ol" | "code" | "quote" | "table" | "hr", ...}
//   inline: {type: "text" | "strong" | "em" | "code" | "marker", ...}

import { markerAt } from "./markers.js";

const MAX_DEPTH = 5;
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}>\s?/;
const ITEM = /^(\s*)(?:([-*+•])|(\d{1,9})[.)])\s+(.*)$/;
const TABLE_RULE = /^\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)+\|?\s*$/;

/** Text -> blocks. An unfinished text (while it streams) is as good as a whole one. */
export function parse(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const out = [];
  for (let i = 0; i < lines.length; ) {
    if (!lines[i].trim()) {
      i++;
      continue;
    }
    const [block, next] = readBlock(lines, i, depth);
    out.push(block);
    i = next;
  }
  return out;
}

function readBlock(lines, i, depth) {
  const line = lines[i];
  const fence = line.match(FENCE);
  if (fence) return readFence(lines, i, fence);
  const heading = line.match(HEADING);
  if (heading) return [{ type: "h", level: heading[1].length, inline: inline(heading[2]) }, i + 1];
  if (RULE.test(line)) return [{ type: "hr" }, i + 1];
  if (depth < MAX_DEPTH && QUOTE.test(line)) return readQuote(lines, i, depth);
  if (depth < MAX_DEPTH && ITEM.test(line)) return readList(lines, i, depth);
  if (startsTable(lines, i)) return readTable(lines, i);
  return readParagraph(lines, i, depth);
}

function readFence(lines, i, fence) {
  const close = new RegExp(`^ {0,3}${fence[1][0]}{${fence[1].length},}\\s*$`);
  let end = i + 1;
  while (end < lines.length && !close.test(lines[end])) end++;
  return [{ type: "code", lang: fence[2], text: lines.slice(i + 1, end).join("\n") }, end + 1];
}

function readQuote(lines, i, depth) {
  let end = i;
  while (end < lines.length && QUOTE.test(lines[end])) end++;
  const inner = lines.slice(i, end).map((l) => l.replace(QUOTE, ""));
  return [{ type: "quote", blocks: parse(inner.join("\n"), depth + 1) }, end];
}

function readList(lines, i, depth) {
  const first = lines[i].match(ITEM);
  const indent = first[1].length;
  const ordered = first[3] !== undefined;
  const items = [];
  while (i < lines.length) {
    const m = lines[i].match(ITEM);
    if (m && m[1].length <= indent + 1) {
      if ((m[3] !== undefined) !== ordered || RULE.test(lines[i])) break;
      items.push([m[4]]);
    } else if (!lines[i].trim()) {
      if (!continuesList(lines, i + 1, indent)) break;
      items.at(-1).push("");
    } else if (m || indentOf(lines[i]) > indent) {
      items.at(-1).push(lines[i].replace(new RegExp(`^\\s{0,${indent + 2}}`), ""));
    } else if (startsBlock(lines, i) || !items.at(-1).at(-1)) {
      break;
    } else {
      items.at(-1).push(lines[i]);
    }
    i++;
  }
  const blocks = items.map((item) => parse(item.join("\n"), depth + 1));
  return [ordered ? { type: "ol", start: Number(first[3]), items: blocks } : { type: "ul", items: blocks }, i];
}

const indentOf = (line) => line.length - line.trimStart().length;

function continuesList(lines, i, indent) {
  while (i < lines.length && !lines[i].trim()) i++;
  return i < lines.length && (ITEM.test(lines[i]) || indentOf(lines[i]) > indent + 1);
}

function startsTable(lines, i) {
  return lines[i].includes("|") && i + 1 < lines.length && TABLE_RULE.test(lines[i + 1]);
}

function readTable(lines, i) {
  const cells = (line) =>
    line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => inline(cell.trim()));
  const head = cells(lines[i]);
  const rows = [];
  for (i += 2; i < lines.length && lines[i].includes("|"); i++) rows.push(cells(lines[i]));
  return [{ type: "table", head, rows }, i];
}

function readParagraph(lines, i, depth) {
  let end = i + 1;
  while (end < lines.length && lines[end].trim() && !startsBlock(lines, end, depth)) end++;
  const text = lines.slice(i, end).map((l) => l.trim()).join("\n");
  return [{ type: "p", inline: inline(text) }, end];
}

function startsBlock(lines, i) {
  const l = lines[i];
  return FENCE.test(l) || HEADING.test(l) || RULE.test(l) || QUOTE.test(l) || ITEM.test(l) || startsTable(lines, i);
}

/** One run of text -> inline tokens. */
export function inline(text, depth = 0) {
  const out = [];
  const hopeless = new Set(); // delimiters that are known to have no end from here on
  let plain = "";
  const flush = () => {
    if (plain) out.push({ type: "text", text: plain });
    plain = "";
  };
  for (let i = 0; i < text.length; ) {
    const token = special(text, i, depth, hopeless);
    if (token) {
      flush();
      out.push(token.value);
      i += token.length;
    } else if (text[i] === "\\" && /[\\`*_[\]#>.!|-]/.test(text[i + 1] ?? "")) {
      plain += text[i + 1];
      i += 2;
    } else {
      plain += text[i++];
    }
  }
  flush();
  return out;
}

function special(text, i, depth, hopeless) {
  switch (text[i]) {
    case "[": {
      const m = markerAt(text, i);
      return m && { value: { type: "marker", numbers: m.numbers }, length: m.length };
    }
    case "`":
      return codeSpan(text, i, hopeless);
    case "*":
    case "_":
      if (depth >= MAX_DEPTH) return null;
      return emphasis(text, i, text[i] + text[i], "strong", depth, hopeless) ?? emphasis(text, i, text[i], "em", depth, hopeless);
  }
  return null;
}

function codeSpan(text, i, hopeless) {
  const ticks = text.slice(i).match(/^`+/)[0];
  if (text[i - 1] === "`" || hopeless.has(ticks)) return null;
  for (let at = text.indexOf(ticks, i + ticks.length); at >= 0; at = text.indexOf(ticks, at + 1)) {
    if (text[at - 1] === "`" || text[at + ticks.length] === "`") continue;
    const code = text.slice(i + ticks.length, at).replace(/^ (.*[^ ].*) $/, "$1");
    return { value: { type: "code", text: code }, length: at + ticks.length - i };
  }
  hopeless.add(ticks);
  return null;
}

function emphasis(text, i, mark, type, depth, hopeless) {
  const open = i + mark.length;
  if (!text.startsWith(mark, i) || !/\S/.test(text[open] ?? " ") || text[open] === mark[0] || hopeless.has(mark)) return null;
  if (mark[0] === "_" && isWord(text[i - 1])) return null;
  for (let at = text.indexOf(mark, open); at >= 0; at = text.indexOf(mark, at + mark.length)) {
    const inDouble = mark.length === 1 && (text[at + 1] === mark || text[at - 1] === mark);
    if (inDouble || /\s/.test(text[at - 1]) || (mark[0] === "_" && isWord(text[at + mark.length]))) continue;
    if (text.slice(open, at).includes("\n\n")) return null;
    return { value: { type, inline: inline(text.slice(open, at), depth + 1) }, length: at + mark.length - i };
  }
  hopeless.add(mark);
  return null;
}

const isWord = (c) => c !== undefined && /[\p{L}\p{N}]/u.test(c);
