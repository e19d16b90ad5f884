// What the views share: the chosen knowledge base and the last word on the server's health. Who wants to know of a change
// listens to it.

import { get } from "./api.js";
import { storage } from "./dom.js";

const bus = new EventTarget();

export const state = {
  db: "",
  preferred: "",
  bases: [], // {name, documents, passages, vectors, bytes, embedder, ...}
  health: null,
};

export function on(name, fn) {
  bus.addEventListener(name, fn);
}

export function changed(name) {
  bus.dispatchEvent(new Event(name));
}

export const base = (name = state.db) => state.bases.find((b) => b.name === name);

/** Reads the knowledge bases and keeps the choice if it still exists. */
export async function loadBases() {
  const answer = await get("/api/dbs");
  const details = new Map((answer.details ?? []).map((d) => [d.name, d]));
  const names = answer.dbs ?? [...details.keys()];
  state.bases = names.map((name) => ({ name, ...details.get(name) }));
  state.preferred = answer.current ?? "";
  const wanted = [state.db, storage.get("sessionStorage", "db"), state.preferred, names[0]];
  const db = wanted.find((name) => name && names.includes(name)) ?? state.preferred ?? "";
  const moved = db !== state.db;
  state.db = db;
  changed("bases");
  if (moved) changed("db");
}

export function chooseBase(name) {
  if (name === state.db) return;
  state.db = name;
  storage.set("sessionStorage", "db", name);
  changed("db");
}
