// Saliency methods side by side, each with the verdict of its sanity check.

import { ClassField } from "./classes.js";
import { code, el, number } from "./dom.js";
import { paintImage } from "./paint.js";
import { ImageView, card } from "./work.js";

export class SaliencyView extends ImageView {
  constructor(app) {
    super(app, "saliency", "Saliency", "Compute");
    this.target = new ClassField(app.about, "Class", "as predicted", () => this.run());
    this.text = el("p", { class: "soft" });
    this.maps = el("div", { class: "maps" });
    this.element = card("Saliency maps", "Which pixels does the score depend on?",
      "Each map is computed again with random weights. One that hardly changes does not show what the network has learned.",
      [this.target.element, this.starter.element], this.text, this.maps);
  }

  async work(job, picture) {
    this.maps.replaceChildren(this.#original());
    const cards = new Map();
    for await (const each of job({ kind: "saliency", picture, target: this.target.value, layer: "" })) {
      if (each.kind === "target") this.text.textContent = `Of the score of ${each.name}:`;
      if (each.kind === "saliency") this.maps.append(this.#card(each, cards));
      if (each.kind === "verdict") judge(cards.get(each.method), each);
      if (each.kind === "missing") this.maps.append(el("figure", {}, el("figcaption", {}, el("b", {}, each.method), el("p", { class: "bad" }, each.text))));
    }
  }

  #original() {
    const seen = this.app.source.canvas;
    const canvas = el("canvas", { role: "img", class: "picture", "aria-label": "The image", width: seen.width, height: seen.height });
    canvas.getContext("2d").drawImage(seen, 0, 0);
    return el("figure", {}, canvas, el("figcaption", {}, el("b", {}, "the image")));
  }

  #card(found, cards) {
    const canvas = el("canvas", { role: "img", class: "picture", "aria-label": `Map of ${found.method}` });
    paintImage(canvas, found.bytes, found.h, found.w);
    const verdict = el("p", { class: "verdict" }, "checking…");
    cards.set(found.method, verdict);
    return el("figure", {}, canvas, el("figcaption", {}, el("b", {}, found.method), ` · ${number(found.ms)} ms`,
      el("p", { class: "soft" }, found.question + (found.layer ? ` (${found.layer})` : "")), verdict), code(found.code, found.method));
  }
}

function judge(element, { passed, final, text }) {
  const word = passed === null ? "not checked" : passed ? "✓ depends on the weights" : "✗ hardly depends on the weights";
  element.textContent = passed === null ? word : `${word} (${final.toFixed(2)})`;
  element.className = `verdict ${passed === null ? "" : passed ? "good" : "bad"}`;
  element.title = text;
}
