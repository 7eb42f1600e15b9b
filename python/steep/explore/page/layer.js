// The view of one layer: its units as a grid, sorted, and beside it the unit that is chosen.

import { el, number, select, shape } from "./dom.js";
import { Grid } from "./grid.js";
import { paintScale } from "./paint.js";
import { Unit } from "./unit.js";

const PAGE = 1024; // units that are shown at a time

export class LayerView {
  constructor(app) {
    this.app = app;
    this.id = "layer";
    this.title = "Units";
    this.first = 0;
    this.mark = null;
    this.heading = el("h2", { tabindex: "-1" });
    this.facts = el("p", { class: "soft" });
    this.sort = select("Sort", [["index", "by index"], ["strongest", "strongest first"], ["place", "at the chosen place"]], () => this.#arrange());
    this.scale = select("Colours", [["layer", "of the layer"], ["unit", "of each unit"]], () => this.#scaled());
    this.pages = select("Units", [], () => {
      this.first = Number(this.pages.value);
      app.refresh();
    });
    this.legend = el("canvas", { class: "scale", "aria-hidden": "true" });
    this.range = el("span", { class: "soft" });
    this.grid = new Grid("Units", (channel) => this.choose(channel));
    this.unit = new Unit(app, () => this.grid.select(null));
    this.empty = el("p", { class: "empty" }, "Open an image, drop one anywhere, draw, or switch the camera on: its activations appear here.");
    this.element = el("div", { class: "layer" },
      el("section", { class: "card units", "aria-label": "Units" },
        el("div", { class: "title" }, this.heading, this.facts),
        el("div", { class: "controls" }, this.sort.element, this.scale.element, this.pages.element,
          el("span", { class: "legend" }, this.legend, this.range)),
        this.empty, this.grid.element),
      this.unit.element);
  }

  get wish() {
    return { layers: [this.layer.name], unit: this.unit.channel, first: this.first, count: PAGE };
  }

  /** Another layer. */
  show(layer) {
    if (this.layer?.name !== layer.name) {
      this.section = null;
      this.grid.clear();
    }
    this.layer = layer;
    this.first = 0;
    this.heading.textContent = layer.name || "the model";
    const other = layer.aliases.map((name) => name || "the output").join(", ");
    this.facts.textContent = `${layer.kind} · ${shape(layer.shape)}${other ? ` · also called ${other}` : ""}`;
    const starts = Array.from({ length: Math.ceil(layer.shape[0] / PAGE) }, (_, i) => i * PAGE);
    this.pages.input.replaceChildren(...starts.map((at) => el("option", { value: at }, `${at} to ${Math.min(layer.shape[0], at + PAGE) - 1}`)));
    this.pages.element.hidden = starts.length < 2;
    this.unit.close();
  }

  frame(frame) {
    const [section] = frame.layers;
    const size = section.lo.length * section.h * section.w;
    const moved = this.section?.name !== section.name || this.section?.first !== section.first;
    this.section = section;
    this.bytes = frame.bytes.subarray(0, size);
    this.empty.hidden = true;
    this.grid.show(section, this.bytes, this.app.names(this.layer));
    if (moved || !this.app.source.live) this.#arrange();
    this.#legend();
    if (frame.unit) this.unit.frame(frame.unit, new Float32Array(frame.bytes.slice(size).buffer));
  }

  /** A place of the image, as shares of its width and height, or null. */
  marked(place) {
    this.mark = place;
    this.sort.input.value = place ? "place" : this.sort.value === "place" ? "index" : this.sort.value;
    this.#arrange();
  }

  choose(channel) {
    if (channel < this.first || channel >= this.first + PAGE) {
      this.first = Math.floor(channel / PAGE) * PAGE;
      this.pages.input.value = this.first;
    }
    this.grid.select(channel);
    this.unit.show(this.layer, channel);
    this.app.refresh();
  }

  #scaled() {
    this.grid.perUnit = this.scale.value === "unit";
    if (this.section) this.grid.show(this.section, this.bytes, this.app.names(this.layer));
    this.#legend();
  }

  #legend() {
    if (!this.section) return;
    const spread = this.grid.spread;
    paintScale(this.legend, spread);
    this.range.textContent = this.grid.perUnit ? "each unit's own range" : `${number(spread.from)} to ${number(spread.to)}`;
  }

  #arrange() {
    if (!this.section) return;
    const score = { index: (i) => -i, strongest: (i) => this.section.hi[i] ?? 0, place: this.#atPlace() }[this.sort.value];
    const scores = this.section.lo.map((_, i) => score(i));
    this.grid.arrange(scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a] || a - b));
  }

  /** How far a unit's activation at the chosen place lies above its mean. */
  #atPlace() {
    const { h, w, lo, hi } = this.section;
    const [x, y] = this.mark ?? [0.5, 0.5];
    const at = Math.min(h - 1, Math.floor(y * h)) * w + Math.min(w - 1, Math.floor(x * w));
    return (i) => {
      const some = this.bytes.subarray(i * h * w, (i + 1) * h * w);
      let sum = 0;
      for (const q of some) sum += q;
      return ((some[at] - sum / some.length) / 255) * (hi[i] - lo[i]);
    };
  }
}
