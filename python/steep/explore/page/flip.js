// The flip-book of backpropagation: a small graph, an expression of one's own, or the network on the image, to step
// through forwards and backwards. report/flipbook.js shows it.

import { code, el, select } from "./dom.js";
import { mount } from "./flipbook.js";
import { card } from "./work.js";

const BOOKS = [["layers", "two layers, the worked example"], ["neuron", "one neuron"], ["expression", "an expression"]];

export class FlipView {
  constructor(app) {
    this.app = app;
    this.id = "flip";
    this.title = "Flip-book";
    const again = () => this.run();
    this.books = select("Graph", app.about.classes ? [...BOOKS, ["network", `${app.about.name} on the image`]] : BOOKS, again);
    this.text = el("input", { type: "text", value: "sin(x * y) + x**2 / 4", spellcheck: "false", "aria-label": "Expression in x and y", onchange: again });
    const number = (name, value) => el("input", { type: "number", step: "any", value, "aria-label": name, onchange: again });
    this.x = number("x", 1.5);
    this.y = number("y", 0.5);
    this.own = el("span", { class: "controls", hidden: true }, this.text, el("label", { class: "choice" }, "x", this.x), el("label", { class: "choice" }, "y", this.y));
    this.book = el("div", { class: "book" });
    this.python = el("div");
    this.element = card("Flip-book of backpropagation", "Backpropagation, step by step",
      "First every value is computed, then every gradient, from the result back. Arrow keys step.",
      [this.books.element, this.own], this.book, this.python);
  }

  shown() {
    if (!this.mounted) this.run();
  }

  changed() {
    if (this.books.value === "network") this.run();
  }

  run() {
    this.own.hidden = this.books.value !== "expression";
    this.app.work(async (job) => {
      const request = { kind: "book", book: this.books.value, text: this.text.value, x: Number(this.x.value), y: Number(this.y.value) };
      if (request.book === "network") {
        if (!this.app.source.ready) throw new Error("open an image first");
        request.picture = await this.app.source.picture();
      }
      for await (const each of job(request)) {
        if (each.kind !== "book") continue;
        this.mounted?.stop();
        this.mounted = mount(this.book, each.data);
        this.python.replaceChildren(code(each.code, "the flip-book"));
      }
    });
  }
}
