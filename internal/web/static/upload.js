// Taking in files: choose or drop, send, follow the job, show the report.

import { get, health, send, upload } from "./api.js";
import { $, announce, h, icon, sentence } from "./dom.js";
import { batches, fromDrop, fromList, isHidden, mergeReports } from "./files.js";
import { baseName, kind, plural, seconds, size } from "./format.js";
import { changed, loadBases, state } from "./state.js";

const POLL_MS = 700;

export function createUpload() {
  const zone = $("dropzone");
  const list = $("uploads");
  const take = (files) => {
    if (files.length) list.prepend(uploadCard(files, state.db));
  };

  for (const id of ["pick-files", "pick-folder"]) {
    const input = $(id);
    $(`${id}-button`).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      take(fromList(input.files));
      input.value = "";
    });
  }

  // The whole view takes drops; the zone only shows it.
  const view = $("view-documents");
  let depth = 0;
  const holdsFiles = (e) => [...(e.dataTransfer?.types ?? [])].includes("Files");
  const over = (e) => {
    if (!holdsFiles(e)) return;
    e.preventDefault();
    e.dataTransfer.dropEffect = "copy";
  };
  view.addEventListener("dragenter", (e) => {
    if (holdsFiles(e)) zone.classList.toggle("over", ++depth > 0);
  });
  view.addEventListener("dragleave", (e) => {
    if (holdsFiles(e)) zone.classList.toggle("over", --depth > 0);
  });
  view.addEventListener("dragover", over);
  view.addEventListener("drop", async (e) => {
    if (!holdsFiles(e)) return;
    e.preventDefault();
    depth = 0;
    zone.classList.remove("over");
    take(await fromDrop(e.dataTransfer));
  });
  // A file dropped anywhere else must not replace the page.
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (e) => holdsFiles(e) && e.preventDefault());
}

/** One act of uploading, from sending to the report. */
function uploadCard(all, db) {
  const files = all.filter((f) => !isHidden(f.path));
  const left = all.length - files.length;
  const abort = new AbortController();
  const title = h("strong", { text: files.length === 1 ? files[0].path : plural(files.length, "file") });
  const line = h("span", { class: "muted small upload-line" });
  const progress = h("progress", { max: "1", value: "0", "aria-label": "Progress" });
  const cancel = h("button", { class: "text-button", type: "button", text: "Cancel", on: { click: () => abort.abort() } });
  const hold = h("button", { class: "text-button", type: "button", text: "Pause", hidden: true });
  const result = h("div", { class: "upload-result" });
  const el = h("section", { class: "card upload", "aria-label": "Upload" }, h("div", { class: "row spread" }, h("span", null, title, ` into ${db}`), h("span", null, hold, cancel)), progress, line, result);

  const show = (share, what) => {
    progress.value = share;
    line.textContent = what;
  };

  async function run() {
    const parts = batches(files);
    const reports = [];
    let sent = 0;
    let failure = null;
    try {
      while (parts.length) {
        const part = parts.shift();
        const step = (share, what) => show((sent + share * part.length) / files.length, what);
        try {
          reports.push(await oneUpload(part, db, step, abort.signal, hold));
        } catch (err) {
          if (!(await isFileAtFault(err))) throw err;
          if (part.length > 1) {
            parts.unshift(part.slice(0, part.length >> 1), part.slice(part.length >> 1)); // find out which
            continue;
          }
          reports.push({ files: 1, skipped: 1, items: [{ source: part[0].path, status: "skipped", reason: err.message }] });
        }
        sent += part.length;
      }
    } catch (err) {
      if (err.report) reports.push(err.report);
      failure = err;
    }
    progress.remove();
    line.remove();
    hold.remove();
    const close = () => el.remove();
    cancel.replaceWith(h("button", { class: "icon-button", type: "button", "aria-label": "Close the report", on: { click: close } }, icon("x")));
    result.replaceChildren(...reportParts(mergeReports(reports), failure, left));
    await loadBases().catch(() => {});
    changed("documents");
  }

  if (files.length) run();
  else {
    progress.remove();
    cancel.remove();
    line.textContent = "Only hidden files were chosen: nothing to read.";
  }
  return el;
}

/** Sends some files and follows their job to its end; gives the report. */
async function oneUpload(files, db, step, signal, hold) {
  const bytes = files.reduce((sum, f) => sum + f.file.size, 0);
  step(0, "Sending …");
  const answer = await upload(files, { db, async: "true" }, { signal, onProgress: (share) => step(share * 0.3, `Sending ${size(bytes * share)} of ${size(bytes)}`) });
  let job = jobOf(answer);
  if (!job) return answer.report ?? {}; // it waited all the same
  const stop = () => send("DELETE", `/api/jobs/${encodeURIComponent(job.id)}`).catch(() => {});
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  hold.hidden = false;
  hold.onclick = () => send("POST", `/api/jobs/${encodeURIComponent(job.id)}/${job.state === "paused" ? "resume" : "pause"}`).catch(() => {});
  let misses = 0;
  while (["queued", "running", "paused"].includes(job.state)) {
    const r = job.report ?? {};
    const share = r.files ? (r.files_done ?? 0) / r.files : 0;
    const reading = `Reading ${r.files_done ?? 0} of ${r.files ?? files.length}${r.current ? `: ${baseName(r.current)}` : ""}${pace(r)}`;
    const what = { queued: "Waiting for its turn …", paused: "Paused." }[job.state] ?? reading;
    step(0.3 + 0.7 * share, what);
    hold.textContent = job.state === "paused" ? "Resume" : "Pause";
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    try {
      job = await get(`/api/jobs/${encodeURIComponent(job.id)}`);
      misses = 0;
    } catch (err) {
      if (err.status === 404 || ++misses > 20) throw err;
    }
  }
  signal.removeEventListener("abort", stop);
  hold.hidden = true;
  if (job.state === "done") return job.report ?? {};
  const reason = job.state === "cancelled" ? "Cancelled. What was read until then stays." : job.error || "The files could not be read.";
  throw Object.assign(new Error(reason), { report: job.report });
}

/** How fast the job goes, and how long it will take. */
export function pace(report) {
  if (!report.passages_per_second) return "";
  const left = report.seconds_left ?? 0;
  const time = left < 90 ? `${Math.round(left)} s` : `${Math.round(left / 60)} min`;
  return ` · ${Math.round(report.passages_per_second)} passages/s, about ${time} left`;
}

/** One file that the server refuses (too large, a bad name) must not hold up the others. */
async function isFileAtFault(err) {
  if (err.status === 413 || err.status === 422) return true;
  return err.status === 0 && (await health()) !== null; // refused in the middle of sending
}

/** The job in a 202: the answer itself, or its field. */
function jobOf(answer) {
  if (answer.job && typeof answer.job === "object") return answer.job;
  if (typeof answer.job === "string" && !answer.report?.files_done) return { id: answer.job, state: "queued", report: answer.report };
  return answer.id && answer.state ? answer : null;
}

const COUNTS = [
  ["added", "added", "check"],
  ["replaced", "replaced", "refresh"],
  ["unchanged", "unchanged", "info"],
  ["skipped", "skipped", "alert"],
];

function reportParts(report, failure, left) {
  const skipped = report.items.filter((i) => i.status === "skipped");
  const warned = report.items.filter((i) => i.status !== "skipped" && i.warnings?.length);
  const text = failure?.name === "AbortError" ? "Cancelled." : failure?.message;
  announce(failure ? text : `Done: ${report.added} added, ${report.replaced} replaced, ${report.skipped} skipped.`);
  return [
    failure ? h("p", { class: "error-text", role: "alert" }, icon("alert"), text) : null,
    h(
      "ul",
      { class: "counts" },
      COUNTS.filter(([name]) => report[name]).map(([name, label, mark]) => h("li", { data: { status: name } }, icon(mark), h("b", { text: String(report[name]) }), ` ${label}`)),
    ),
    report.passages || report.seconds
      ? h("p", { class: "muted small", text: [plural(report.passages, "passage"), report.pending ? `${report.pending} wait for their vectors` : "", seconds(report.seconds)].filter(Boolean).join(" · ") })
      : null,
    ...report.notices.map((n) => h("p", { class: "small" }, icon("info"), " ", sentence(n))),
    itemList("Not read", skipped, (i) => i.reason || i.code || "no reason given"),
    itemList("Read with remarks", warned, (i) => i.warnings.join("; ")),
    report.items_omitted ? h("p", { class: "muted small", text: `${plural(report.items_omitted, "more file")} not listed.` }) : null,
    left ? h("p", { class: "muted small", text: `${plural(left, "hidden file")} left out.` }) : null,
  ].filter(Boolean);
}

function itemList(title, items, why) {
  if (items.length === 0) return null;
  return h(
    "details",
    { class: "report-items", open: items.length <= 8 },
    h("summary", { text: `${title} (${items.length})` }),
    h("ul", null, items.map((i) => h("li", null, h("span", { class: "report-source", text: i.source, title: i.source }), h("span", { class: "report-kind muted", text: i.kind ? kind(i.kind, i.source) : "" }), h("span", { class: "report-why", text: why(i) })))),
  );
}
