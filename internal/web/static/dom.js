// Small helpers to build the page. Text always goes in as text.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `props`: class, text, on: {event: fn}, data: {...}; the rest are attributes (false and null leave one out). */
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") el.className = value;
    else if (name === "text") el.textContent = value;
    else if (name === "on") for (const [event, fn] of Object.entries(value)) el.addEventListener(event, fn);
    else if (name === "data") Object.assign(el.dataset, value);
    else el.setAttribute(name, value === true ? "" : value);
  }
  el.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

/** An icon of the sprite in index.html. */
export function icon(name, label) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A sentence of the server, its `commands` set as code. */
export function sentence(text) {
  return String(text ?? "")
    .split(/`([^`]+)`/)
    .map((part, i) => (i % 2 ? h("code", { text: part }) : part));
}

export const $ = (id) => document.getElementById(id);

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Tells screen readers something, without moving the focus. */
export function announce(text) {
  $("announcer").textContent = text;
}

/** Puts text on the clipboard; also where the clipboard API is closed (plain http on another machine). */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "offscreen", readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    const ok = document.execCommand("copy");
    area.remove();
    return ok;
  }
}

/** Session and local storage that may be switched off. */
export const storage = {
  get(kind, key) {
    try {
      return window[kind].getItem(`ollama-rag.${key}`);
    } catch {
      return null;
    }
  },
  set(kind, key, value) {
    try {
      if (value === null) window[kind].removeItem(`ollama-rag.${key}`);
      else window[kind].setItem(`ollama-rag.${key}`, value);
    } catch {
      // Off: the value lives as long as the page.
    }
  },
};
