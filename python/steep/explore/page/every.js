// Every unit of every layer at once, small: draw a digit, or hold something before the camera, and see what answers.

import { el, shape } from "./dom.js";
import { Grid } from "./grid.js";

const UNITS = 64; // of each layer, where all layers together have more than ALL
const ALL = 2000;
const LAYERS = 40;

export class EveryView {
  constructor(app) {
    this.app = app;
    this.id = "every";
    this.title = "Every unit";
    const leaves = app.about.layers;
    const outer = leaves.filter((layer) => [layer.name, ...layer.aliases].some((name) => !name.includes(".")));
    const some = leaves.length > LAYERS && outer.length > 2 ? outer : leaves;
    const step = Math.ceil(some.length / LAYERS);
    this.layers = some.filter((_, i) => i % step === step - 1 || i === some.length - 1);
    const count = (layer) => layer.shape[0] ?? 1;
    const every = this.layers.reduce((sum, layer) => sum + count(layer), 0) <= ALL;
    this.units = every ? Math.max(...this.layers.map(count)) : UNITS;
    this.grids = this.layers.map((layer) => new Grid(`Units of ${layer.name || "the model"}`, (channel) => app.goTo(layer.name, channel), 34));
    this.element = el("section", { class: "card every", "aria-label": "Every unit" },
      el("p", { class: "soft" }, `${every ? "All" : `The first ${UNITS}`} units of ${this.layers.length === leaves.length ? "each layer" : `${this.layers.length} of the ${leaves.length} layers`}, from the image to the scores. Choose one to see what excites it.`),
      ...this.layers.map((layer, i) => el("div", { class: "stripe" },
        el("h3", {}, layer.name || "the model", el("span", { class: "soft" }, ` ${shape(layer.shape)}`)), this.grids[i].element)));
  }

  get wish() {
    return { layers: this.layers.map((layer) => layer.name), unit: null, first: 0, count: this.units, side: 28 };
  }

  frame(frame) {
    let at = 0;
    frame.layers.forEach((section, i) => {
      const size = section.lo.length * section.h * section.w;
      this.grids[i].show(section, frame.bytes.subarray(at, at + size), this.app.names(this.layers[i]));
      at += size;
    });
  }
}
