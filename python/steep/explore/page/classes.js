// A field for a class: its name or its index, with suggestions; empty for a default.

import { el } from "./dom.js";

let lists = 0;

export class ClassField {
  constructor(about, label, empty, change) {
    this.about = about;
    const names = about.labels ?? Array.from({ length: about.classes }, (_, i) => String(i));
    const list = el("datalist", { id: `classes-${++lists}` }, ...names.map((name) => el("option", { value: name })));
    this.input = el("input", { type: "text", list: list.id, placeholder: empty, autocomplete: "off", onchange: change });
    this.element = el("label", { class: "choice" }, el("span", {}, label), this.input, list);
    this.names = names.map((name) => name.toLowerCase());
  }

  /** The index of the class, null if the field is empty. Throws for what is no class. */
  get value() {
    const text = this.input.value.trim().toLowerCase();
    if (!text) return null;
    const at = this.names.indexOf(text);
    const index = at >= 0 ? at : /^\d+$/.test(text) ? Number(text) : -1;
    if (index < 0 || index >= this.about.classes) throw new Error(`${this.about.name} has no class ${JSON.stringify(text)}`);
    return index;
  }
}
