// The map: a row for each layer in the order in which they run, with the graph drawn in lanes at the left. Up and down
// walk through the rows, left to a layer that is read, right to one that reads this one.

import { el, shape } from "./dom.js";

const ROW = 28;
const LANE = 13;
const GROUPS = [[/conv|linear|gemm|matmul|dense/i, "weights"], [/relu|sigmoid|tanh|gelu|silu|swish|softmax|clip|elu/i, "activation"],
  [/pool/i, "pooling"]];

/** A lane for each layer: the first that no other layer, still to be read, occupies. */
export function lanes(layers) {
  const last = new Map();
  layers.forEach((layer, row) => layer.inputs.forEach((name) => last.set(name, row)));
  const held = [];
  return layers.map((layer, row) => {
    for (let lane = 0; lane < held.length; lane++) if (held[lane] !== null && last.get(held[lane]) <= row) held[lane] = null;
    let lane = held.indexOf(null);
    if (lane < 0) lane = held.length;
    held[lane] = (last.get(layer.name) ?? -1) > row ? layer.name : null;
    return lane;
  });
}

export class LayerMap {
  constructor(layers, choose) {
    this.layers = layers;
    this.choose = choose;
    this.at = new Map(layers.map((layer, row) => [layer.name, row]));
    this.lanes = lanes(layers);
    this.chosen = 0;
    const room = (Math.max(0, ...this.lanes) + 1) * LANE + 8;
    this.rows = layers.map((layer, row) => {
      const cut = layer.name.lastIndexOf(".") + 1;
      const option = el("div", { role: "option", id: `layer-${row}`, "aria-selected": "false", class: `row ${group(layer.kind)}`,
        title: `${layer.kind}, ${shape(layer.shape)}${layer.aliases.length ? `; also ${layer.aliases.map((a) => a || "the output").join(", ")}` : ""}`,
        onclick: () => this.select(row, true) },
        el("span", { class: "name" }, el("span", { class: "soft" }, layer.name.slice(0, cut)), el("b", {}, layer.name.slice(cut) || "the model")),
        el("span", { class: "shape" }, shape(layer.shape)));
      option.style.paddingLeft = `${room}px`;
      return option;
    });
    this.box = el("div", { role: "listbox", tabindex: "0", "aria-label": "Layers", "aria-describedby": "map-help", class: "map" },
      this.#graph(room), ...this.rows);
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.element = this.box;
  }

  get layer() {
    return this.layers[this.chosen];
  }

  select(row, byUser) {
    this.rows[this.chosen]?.setAttribute("aria-selected", "false");
    this.dots[this.chosen]?.classList.remove("chosen");
    this.chosen = row;
    this.rows[row].setAttribute("aria-selected", "true");
    this.dots[row].classList.add("chosen");
    this.box.setAttribute("aria-activedescendant", this.rows[row].id);
    const top = row * ROW;
    if (top < this.box.scrollTop + ROW) this.box.scrollTop = top - ROW;
    if (top > this.box.scrollTop + this.box.clientHeight - 2 * ROW) this.box.scrollTop = top - this.box.clientHeight + 2 * ROW;
    this.choose(this.layers[row], byUser);
  }

  #key(event) {
    const here = this.layers[this.chosen];
    const reader = this.layers.findIndex((layer) => layer.inputs.includes(here.name));
    const go = { ArrowDown: this.chosen + 1, ArrowUp: this.chosen - 1, Home: 0, End: this.layers.length - 1,
      ArrowLeft: this.at.get(here.inputs[0]), ArrowRight: reader }[event.key];
    if (!(event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End")) return;
    event.preventDefault();
    if (go !== undefined && this.layers[go]) this.select(go, true);
  }

  #graph(room) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("width", room);
    svg.setAttribute("height", this.layers.length * ROW);
    svg.setAttribute("aria-hidden", "true");
    const x = (row) => this.lanes[row] * LANE + 10;
    const y = (row) => row * ROW + ROW / 2;
    const add = (tag, attributes) => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      svg.append(made);
      return made;
    };
    this.layers.forEach((layer, row) => {
      for (const name of layer.inputs) {
        const from = this.at.get(name);
        if (from === undefined) continue;
        const [x0, x1, turn] = [x(from), x(row), y(row) - ROW * 0.8];
        add("path", { d: `M${x0} ${y(from)}V${Math.max(turn, y(from))}C${x0} ${y(row) - 6} ${x1} ${y(row) - 16} ${x1} ${y(row)}` });
      }
    });
    this.dots = this.layers.map((layer, row) => add("circle", { cx: x(row), cy: y(row), r: 4.5, class: group(layer.kind) }));
    return svg;
  }
}

function group(kind) {
  return GROUPS.find(([pattern]) => pattern.test(kind))?.[1] ?? "other";
}
