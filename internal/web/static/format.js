// Numbers and names as people read them.

const number = new Intl.NumberFormat("en");

export const count = (n) => number.format(n ?? 0);

/** "1 passage", "2 passages". */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

export function size(bytes) {
  if (!Number.isFinite(bytes)) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (bytes >= 1000 && i < units.length - 1) {
    bytes /= 1000;
    i++;
  }
  return `${i === 0 || bytes >= 100 ? Math.round(bytes) : bytes.toFixed(1)} ${units[i]}`;
}

export function seconds(s) {
  if (!Number.isFinite(s)) return "";
  if (s < 0.00005) return "0 ms";
  if (s < 1) return `${s < 0.01 ? (s * 1000).toFixed(1) : Math.round(s * 1000)} ms`;
  if (s < 90) return `${s.toFixed(s < 10 ? 2 : 1)} s`;
  return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
}

/** How long ago, roughly. */
export function age(s) {
  if (!Number.isFinite(s)) return "";
  if (s < 60) return `${Math.round(s)} s old`;
  if (s < 5400) return `${Math.round(s / 60)} min old`;
  if (s < 129600) return `${Math.round(s / 3600)} h old`;
  return `${Math.round(s / 86400)} days old`;
}

export const percent = (share) => (Number.isFinite(share) ? `${Math.round(share * 100)} %` : "–");

export const score = (x) => (Number.isFinite(x) ? (Math.abs(x) >= 100 ? x.toFixed(0) : x.toFixed(Math.abs(x) < 0.1 ? 3 : 2)) : "");

export const baseName = (source) => String(source ?? "").split(/[\\/]/).filter(Boolean).pop() ?? String(source ?? "");

/** Where in its document a passage stands: "page 3 · Laws". */
export function place({ page, heading }) {
  return [page ? `page ${page}` : "", heading ?? ""].filter(Boolean).join(" · ");
}

const KINDS = {
  "application/pdf": "PDF",
  "text/markdown": "Markdown",
  "text/html": "HTML",
  "text/plain": "Text",
  "text/csv": "CSV",
  "application/json": "JSON",
  "application/epub+zip": "EPUB",
  "application/rtf": "RTF",
  "application/msword": "Word",
};

export function kind(mediaType, source) {
  const type = String(mediaType ?? "").split(";")[0].trim();
  if (KINDS[type]) return KINDS[type];
  if (type.includes("wordprocessingml")) return "Word";
  if (type.includes("spreadsheetml")) return "Excel";
  if (type.includes("presentationml")) return "PowerPoint";
  if (type.includes("opendocument")) return "OpenDocument";
  const extension = baseName(source).match(/\.([A-Za-z0-9]{1,8})$/)?.[1];
  return extension ? extension.toUpperCase() : type || "–";
}

export function language(code) {
  if (!code || code === "und") return "–";
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
}

export function date(unixSeconds) {
  if (!unixSeconds) return "";
  return new Date(unixSeconds * 1000).toLocaleDateString("en", { year: "numeric", month: "short", day: "numeric" });
}
