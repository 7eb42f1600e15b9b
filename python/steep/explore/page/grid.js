// The units of a layer as a grid: one canvas that is painted at camera rate, and above it a list box of options for the
// mouse, the keyboard and screen readers. Only rows that can be seen are painted.

import { el, number } from "./dom.js";
import { colours, range } from "./paint.js";

const GAP = 3;

export class Grid {
  /** ``choose`` is called with a channel. ``tile`` is the side of a unit in pixels. */
  constructor(label, choose, tile = 60) {
    this.choose = choose;
    this.tile = tile;
    this.frame = null;
    this.order = [];
    this.active = 0;
    this.chosen = null;
    this.perUnit = false;
    this.canvas = el("canvas", { "aria-hidden": "true" });
    this.strip = document.createElement("canvas");
    this.box = el("div", { role: "listbox", tabindex: "0", "aria-label": label, class: "options" });
    this.element = el("div", { class: "grid" }, this.canvas, this.box);
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("focus", () => this.#activate(this.active, false));
    this.box.addEventListener("click", (event) => {
      const place = [...this.box.children].indexOf(event.target.closest("[role=option]"));
      if (place >= 0) this.#pick(place);
    });
    new ResizeObserver(() => {
      if (this.element.clientWidth === this.width) return;
      this.#layout();
      this.paint();
    }).observe(this.element);
    addEventListener("scroll", () => requestAnimationFrame(() => this.paint()), { passive: true });
  }

  /** Show a layer's section of a frame; ``names`` are labels of its units, or null. */
  show(section, bytes, names = null) {
    const same = this.frame && this.frame.section.name === section.name && this.frame.section.lo.length === section.lo.length;
    this.frame = { section, bytes, names };
    if (!same) {
      this.order = section.lo.map((_, i) => i);
      this.active = 0;
      this.#options();
    }
    this.#pack();
    this.#layout(same);
    this.paint();
  }

  /** Until the next frame there are no units to choose from: those of another layer are not this one's. */
  clear() {
    this.frame = null;
    this.order = [];
    this.active = 0;
    this.box.replaceChildren();
    this.box.removeAttribute("aria-activedescendant");
  }

  /** Arrange the units; ``order`` holds their places in the section. */
  arrange(order) {
    this.order = order;
    this.#options();
    this.#layout();
    this.paint();
  }

  /** The range of the whole layer. */
  get spread() {
    const { lo, hi } = this.frame.section;
    return range(Math.min(...lo.map(plain)), Math.max(...hi.map(plain)));
  }

  select(channel) {
    this.chosen = channel;
    for (const option of this.box.children) {
      option.setAttribute("aria-selected", String(Number(option.dataset.channel) === channel));
    }
  }

  /** All units under one another in one narrow canvas, so that a frame is one transfer of pixels. */
  #pack() {
    const { section: { h, w, lo, hi }, bytes } = this.frame;
    const data = new ImageData(w, h * lo.length);
    const pixels = new Uint32Array(data.data.buffer);
    const all = this.spread;
    for (let c = 0; c < lo.length; c++) {
      const table = colours(plain(lo[c]), plain(hi[c]), this.perUnit ? range(plain(lo[c]), plain(hi[c])) : all);
      const end = (c + 1) * h * w;
      for (let i = c * h * w; i < end; i++) pixels[i] = table[bytes[i]];
    }
    this.strip.width = w;
    this.strip.height = h * lo.length;
    this.strip.getContext("2d").putImageData(data, 0, 0);
  }

  #options() {
    const { section, names } = this.frame;
    const made = this.order.map((i) => {
      const channel = section.first + i;
      const name = names?.[channel];
      return el("div", { role: "option", id: `${section.name}:${channel}`, "data-channel": channel, "aria-selected": String(channel === this.chosen),
        title: name ? `${channel}: ${name}` : `unit ${channel}`, "aria-label": name ? `unit ${channel}, ${name}` : `unit ${channel}` });
    });
    this.box.replaceChildren(...made);
  }

  #layout(same = false) {
    if (!this.frame) return;
    const { h, w } = this.frame.section;
    const width = this.element.clientWidth;
    if (!width || (same && width === this.width)) return;
    this.width = width;
    const small = h * w === 1 ? Math.min(this.tile, 24) : this.tile;
    this.columns = Math.max(1, Math.floor((width + GAP) / (small + GAP)));
    this.side = Math.min(small * 1.5, (width + GAP) / this.columns - GAP);
    this.high = h === w || h * w === 1 ? this.side : Math.max(4, Math.min(this.side, (this.side * h) / w));
    const rows = Math.ceil(this.order.length / this.columns);
    const height = rows * (this.high + GAP) - GAP;
    const dpr = Math.min(2, devicePixelRatio || 1);
    this.dpr = height * dpr > 16000 ? 1 : dpr;
    this.canvas.width = Math.round(width * this.dpr);
    this.canvas.height = Math.round(height * this.dpr);
    this.element.style.height = `${height}px`;
    this.box.style.gridTemplateColumns = `repeat(${this.columns}, ${this.side}px)`;
    this.box.style.gridAutoRows = `${this.high}px`;
  }

  paint() {
    if (!this.frame || !this.columns || !this.element.offsetParent) return;
    const { h, w } = this.frame.section;
    const top = this.canvas.getBoundingClientRect().top;
    const step = this.high + GAP;
    const first = Math.max(0, Math.floor((-top - 200) / step));
    const last = Math.ceil((innerHeight - top + 200) / step);
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    for (let k = first * this.columns; k < Math.min(this.order.length, last * this.columns); k++) {
      const x = (k % this.columns) * (this.side + GAP);
      const y = Math.floor(k / this.columns) * step;
      context.drawImage(this.strip, 0, this.order[k] * h, w, h, x * this.dpr, y * this.dpr, this.side * this.dpr, this.high * this.dpr);
    }
  }

  #key(event) {
    if (!this.order.length) return;
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, Home: -1e9, End: 1e9 }[event.key];
    if (by !== undefined) {
      event.preventDefault();
      this.#activate(Math.min(this.order.length - 1, Math.max(0, this.active + by)), true);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.#pick(this.active);
    }
  }

  #activate(place, scroll) {
    const options = this.box.children;
    options[this.active]?.classList.remove("active");
    this.active = place;
    const option = options[place];
    if (!option) return;
    option.classList.add("active");
    const at = this.order[place];
    const name = this.frame.names?.[Number(option.dataset.channel)];
    option.setAttribute("aria-label", `unit ${option.dataset.channel}${name ? `, ${name}` : ""}, up to ${number(this.frame.section.hi[at])}`);
    this.box.setAttribute("aria-activedescendant", option.id);
    if (scroll) option.scrollIntoView({ block: "nearest" });
  }

  #pick(place) {
    this.#activate(place, false);
    const channel = Number(this.box.children[place].dataset.channel);
    this.select(channel);
    this.choose(channel);
  }
}

const plain = (value) => (value === null ? 0 : value);
