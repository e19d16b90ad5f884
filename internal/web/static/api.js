// The only way to the server: JSON in and out, the key where one is needed, problems as errors.

import { storage } from "./dom.js";

/** What went wrong, in a sentence that says what to do (RFC 9457). */
export class Problem extends Error {
  constructor({ status = 0, code = "", detail = "", title = "", request_id = "", retry_after = 0 }) {
    super(detail || title || (status ? `The server answered ${status}.` : "The server cannot be reached. Is it running?"));
    this.name = "Problem";
    Object.assign(this, { status, code, title, requestID: request_id, retryAfter: retry_after });
  }
}

let key = storage.get("sessionStorage", "key");
let askForKey = null;
let asking = null;

/** Sets who asks the person for a key: fn(rejected) gives a key or null. */
export function onKeyNeeded(fn) {
  askForKey = fn;
}

/** A new key from the person; one question at a time, however many calls wait for it. */
async function newKey(used) {
  if (key !== used) return true; // another call has got one meanwhile
  asking ??= askForKey(Boolean(used)).finally(() => (asking = null));
  const given = await asking;
  if (!given) return false;
  key = given;
  storage.set("sessionStorage", "key", key);
  return true;
}

const authorization = (k) => (k ? { Authorization: `Bearer ${k}` } : {});

/** One call. `quiet` calls never ask for a key: they happen without the person's doing. */
export async function call(path, { method = "GET", json, headers = {}, signal, quiet = false } = {}) {
  for (;;) {
    const used = key;
    const init = { method, signal, headers: { Accept: "application/json", ...headers, ...authorization(used) } };
    if (json !== undefined) {
      init.method = method === "GET" ? "POST" : method;
      init.headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(json);
    }
    let response;
    try {
      response = await fetch(path, init);
    } catch (err) {
      if (err.name === "AbortError") throw err;
      throw new Problem({});
    }
    if (response.ok) return response;
    if (response.status === 401 && !quiet && askForKey && (await newKey(used))) continue;
    throw await problemOf(response);
  }
}

async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Not ours (a proxy's page): the status has to do.
  }
  return makeProblem(response.status, body, response.headers.get("Retry-After"));
}

function makeProblem(status, body, retryAfter) {
  const detail = body?.detail ?? body?.error;
  return new Problem({
    ...body,
    status,
    detail: typeof detail === "string" ? detail : "",
    retry_after: Number(retryAfter) || 0,
  });
}

export async function get(path, options) {
  return (await call(path, options)).json();
}

export async function send(method, path, json, options) {
  const response = await call(path, { method, json, ...options });
  const text = await response.text();
  return text ? JSON.parse(text) : {};
}

/** The whole picture. A proxy in between may answer in the server's stead: what is no picture is a failure. */
export async function health() {
  let response;
  try {
    response = await fetch("/health", { headers: { Accept: "application/json", ...authorization(key) } });
  } catch {
    return null;
  }
  try {
    const body = await response.json();
    return body && typeof body === "object" && !Array.isArray(body) ? body : null;
  } catch {
    return null;
  }
}

/** Uploads files; fetch cannot tell how much has been sent, so this is the old way. */
export function upload(files, fields, { onProgress, signal }) {
  const attempt = (used) =>
    new Promise((resolve, reject) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      for (const { file, path } of files) form.append("files", file, path);
      const xhr = new XMLHttpRequest();
      xhr.open("POST", "/api/upload");
      xhr.setRequestHeader("Accept", "application/json");
      if (used) xhr.setRequestHeader("Authorization", `Bearer ${used}`);
      xhr.upload.onprogress = (e) => e.lengthComputable && onProgress?.(e.loaded / e.total);
      xhr.onload = () => resolve(xhr);
      xhr.onerror = () => reject(new Problem({ detail: "The upload broke off. Is a file too large, or the server gone?" }));
      xhr.onabort = () => reject(new DOMException("cancelled", "AbortError"));
      signal?.addEventListener("abort", () => xhr.abort(), { once: true });
      xhr.send(form);
    });
  return (async () => {
    for (;;) {
      const used = key;
      const xhr = await attempt(used);
      let body = {};
      try {
        body = JSON.parse(xhr.responseText);
      } catch {
        // As above.
      }
      if (xhr.status >= 200 && xhr.status < 300) return body;
      if (xhr.status === 401 && askForKey && (await newKey(used))) continue;
      throw makeProblem(xhr.status, body, xhr.getResponseHeader("Retry-After"));
    }
  })();
}
