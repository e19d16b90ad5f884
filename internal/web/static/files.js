// Chosen or dropped files -> what is sent: folders walked, hidden files left out, cut into uploads of a bearable size.

const MAX_FILES = 200;
const MAX_BYTES = 48e6;

/** Hidden files, system leftovers and folders of tools: nobody means them when dropping a folder. */
export function isHidden(path) {
  return path.split("/").some((part) => part.startsWith(".") || part.startsWith("~$") || part === "node_modules" || part === "Thumbs.db" || part === "__MACOSX");
}

/** A file list of an input -> {file, path}. */
export function fromList(list) {
  return [...list].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

/** Everything that was dropped, folders included -> {file, path}. */
export async function fromDrop(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean); // now: the items are gone after a wait
  if (entries.length === 0) return fromList(transfer.files);
  const out = [];
  for (const entry of entries) await walk(entry, "", out);
  return out;
}

async function walk(entry, parent, out) {
  const path = parent ? `${parent}/${entry.name}` : entry.name;
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    if (file) out.push({ file, path });
    return;
  }
  if (isHidden(path)) return;
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (some.length === 0) return;
    for (const child of some) await walk(child, path, out);
  }
}

/** Cuts files into uploads; a file larger than the bound goes alone, the server has the last word on it. */
export function batches(files, maxFiles = MAX_FILES, maxBytes = MAX_BYTES) {
  const out = [];
  let bytes = 0;
  for (const f of files) {
    const now = out.at(-1);
    if (!now || now.length >= maxFiles || bytes + f.file.size > maxBytes) {
      out.push([f]);
      bytes = f.file.size;
    } else {
      now.push(f);
      bytes += f.file.size;
    }
  }
  return out;
}

const SUMS = ["files", "files_done", "added", "replaced", "unchanged", "skipped", "deleted", "passages", "vectors", "pending", "bytes", "seconds", "items_omitted"];

/** The reports of several uploads as one. */
export function mergeReports(reports) {
  const out = { items: [], notices: [] };
  for (const name of SUMS) out[name] = reports.reduce((sum, r) => sum + (r?.[name] ?? 0), 0);
  for (const r of reports) {
    out.items.push(...(r?.items ?? []));
    if (r?.notice && !out.notices.includes(r.notice)) out.notices.push(r.notice);
  }
  return out;
}
