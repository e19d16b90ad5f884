// The verdicts on citations: one icon, one word and one sentence each, the same everywhere.

import { h, icon } from "./dom.js";

export const VERDICTS = {
  supported: { icon: "check", label: "Supported", text: "The passage has the claim's words and all of its numbers." },
  unsupported: { icon: "alert", label: "Not supported", text: "The passage lacks words or numbers of the claim. Read it yourself." },
  inferred: { icon: "link", label: "Inferred", text: "The model cited nothing here; this passage covers the sentence." },
  quoted: { icon: "quote", label: "Quoted", text: "The answer is the passage's own words." },
};

export const verdictOf = (name) => VERDICTS[name] ?? { icon: "info", label: name || "Unchecked", text: "" };

/** Icon and word of a verdict. */
export function verdictTag(name) {
  const v = verdictOf(name);
  return h("span", { class: "verdict", data: { verdict: name }, title: v.text }, icon(v.icon), v.label);
}
