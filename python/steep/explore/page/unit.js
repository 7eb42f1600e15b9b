// One unit: its activation in the image, what excites it (synthesised while one watches), where in the image it comes
// from, and its top examples in the folder. Each comes from a job of its own; another unit cancels what is left.

import { code, el, number, percent, select, slider, topRows } from "./dom.js";
import { paintImage, paintScale, paintValues, range } from "./paint.js";
import { Starter } from "./work.js";

export class Unit {
  constructor(app, closed) {
    this.app = app;
    this.closed = closed;
    this.channel = null;
    this.heading = el("h2", { tabindex: "-1" });
    this.map = el("canvas", { role: "img", class: "picture" });
    this.scale = el("canvas", { class: "scale", "aria-hidden": "true" });
    this.values = el("p", { class: "soft" });
    this.python = el("div");
    this.climb = new Climb(app, () => this.#run("climb"));
    this.parts = el("div", { class: "parts" });
    this.examples = el("div");
    const close = el("button", { type: "button", "aria-label": "Close this unit", onclick: () => this.close(true) }, "✕");
    this.element = el("section", { class: "card unit", "aria-label": "The chosen unit", hidden: true },
      el("div", { class: "title row" }, this.heading, close),
      el("div", { class: "two" },
        el("figure", {}, this.map, el("figcaption", {}, "Activation ", this.scale, this.values), this.python),
        this.climb.figure),
      this.climb.controls,
      el("h3", {}, "Where it comes from in this image"), this.parts,
      el("h3", {}, "Top examples in the folder"), this.examples);
  }

  show(layer, channel) {
    Object.assign(this, { layer, channel });
    const name = this.app.names(layer)?.[channel];
    this.heading.textContent = `Unit ${channel}${name ? `: ${name}` : ""}`;
    this.element.hidden = false;
    this.climb.clear();
    this.#blank();
    this.parts.replaceChildren();
    this.examples.replaceChildren();
    this.python.replaceChildren(code(`${this.app.about.code}\nfound = model.activations(x, ${quoted(layer.name)})\n` +
      `print(found[${quoted(layer.name)}][0, ${channel}])`, "the activation"));
    if (matchMedia("(max-width: 70rem)").matches) this.element.scrollIntoView({ block: "start" });
    this.heading.focus({ preventScroll: true });
    this.#run();
  }

  /** Other image: what depends on it is computed again. */
  changed() {
    if (this.channel !== null && !this.app.source.live) this.#run("maps");
  }

  close(byUser = false) {
    if (this.channel === null) return;
    this.app.cancel();
    this.channel = null;
    this.element.hidden = true;
    this.closed();
    if (byUser) document.querySelector("#panels [role=listbox]")?.focus();
  }

  frame({ h, w, lo, hi, mean }, values) {
    const spread = range(lo ?? 0, hi ?? 0);
    paintValues(this.map, values, h, w, spread);
    paintScale(this.scale, spread);
    this.map.setAttribute("aria-label", `Activation of unit ${this.channel}, ${number(lo)} to ${number(hi)}`);
    this.values.textContent = h * w > 1 ? `${number(lo)} to ${number(hi)}, mean ${number(mean)}, ${h} × ${w} positions` : number(hi);
  }

  /** Before the first frame: nothing of the unit before, and what a screen reader is told of it. */
  #blank() {
    for (const each of [this.map, this.scale]) each.width = each.width;  // clears it
    this.map.setAttribute("aria-label", `Activation of unit ${this.channel}: not computed yet`);
    this.values.textContent = "";
  }

  async #run(only = null) {
    const { layer, channel } = this;
    const unit = { layer: layer.name, channel };
    this.app.work(async (job) => {
      if (only !== "climb" && this.app.source.ready) await this.#maps(job, unit);
      if (only !== "maps" && (only === "climb" || this.climb.auto)) await this.climb.run(job, unit);
      if (!only && this.app.about.folder.length) await this.#examples(job, unit);
      else if (!only) this.examples.replaceChildren(el("p", { class: "soft" }, "None was given: start with ", el("code", {}, "steep explore --folder DIR"), "."));
    });
  }

  async #maps(job, unit) {
    const picture = await this.app.source.picture();
    const made = [];
    const whole = document.createElement("canvas");
    for await (const each of job({ kind: "maps", picture, ...unit })) {
      if (each.kind !== "map") continue;
      if (!made.length && each.box) made.push(el("figure", {}, cut(this.app.source.canvas, each.box, "The image there"), el("figcaption", {}, "the image")));
      paintImage(whole, each.bytes, each.h, each.w);
      const canvas = cut(whole, each.box ?? [0, 0, each.h, each.w], `${each.method} of unit ${unit.channel}`);
      const caption = each.box ? each.method : `${each.method}: all zero`;
      made.push(el("figure", {}, canvas, el("figcaption", {}, caption.replace("_", " ")), code(each.code, each.method)));
      this.parts.replaceChildren(...made);
    }
  }

  async #examples(job, unit) {
    let boxes = [];
    for await (const each of job({ kind: "examples", ...unit })) {
      if (each.kind === "searched") this.app.say(`searching the folder: ${each.done} of ${each.of} images`);
      if (each.kind === "examples") boxes = this.#nine(each);
      if (each.kind === "field") place(boxes[each.place], each.box, this.app.about.size);
    }
    this.app.say("");
  }

  #nine(found) {
    const size = found.h * found.w * 3;
    const boxes = [];
    const made = found.names.map((name, i) => {
      const canvas = el("canvas", { "aria-hidden": "true" });
      paintImage(canvas, found.bytes.subarray(i * size, (i + 1) * size), found.h, found.w);
      boxes.push(el("span", { class: "field", hidden: true }));
      return el("button", { type: "button", title: `open ${name}`, "aria-label": `${name}, activation ${number(found.values[i])}: open it`,
        onclick: () => this.app.source.fromFolder(found.files[i]) }, canvas, boxes[i], el("span", { class: "value" }, number(found.values[i])));
    });
    this.examples.replaceChildren(el("div", { class: "nine" }, ...made),
      el("p", { class: "soft" }, `${found.names.length} ${found.note}; the frame is what the unit's position sees`), code(found.code, "the top examples"));
    return boxes;
  }
}

/** A part of an image as a canvas of its own. */
function cut(from, [top, left, bottom, right], label) {
  const canvas = el("canvas", { role: "img", class: "picture", "aria-label": label, width: right - left, height: bottom - top });
  canvas.getContext("2d").drawImage(from, left, top, right - left, bottom - top, 0, 0, right - left, bottom - top);
  return canvas;
}

/** A frame around the receptive field, in shares of the image. */
function place(span, [top, left, bottom, right], size) {
  span.hidden = false;
  Object.assign(span.style, { top: `${(100 * top) / size}%`, left: `${(100 * left) / size}%`,
    height: `${(100 * (bottom - top)) / size}%`, width: `${(100 * (right - left)) / size}%` });
}

class Climb {
  constructor(app, again) {
    this.app = app;
    this.canvas = el("canvas", { role: "img", class: "picture", "aria-label": "What excites the unit: not synthesised yet" });
    this.progress = el("progress", { max: "1", value: "0", "aria-label": "Steps of the climb" });
    this.text = el("p", { class: "soft" });
    this.top = el("ol", { class: "top" });
    this.python = el("div");
    this.starter = new Starter(app, "Climb", again);
    this.figure = el("figure", {}, this.canvas, el("figcaption", {}, "What excites it ", this.progress, this.text), this.python);
    const exponential = (x) => (x === 0 ? 0 : 10 ** x);
    this.sliders = {
      steps: slider("Steps", { min: 4, max: 10, step: 1, value: 7, read: (x) => 2 ** x, change: again }),
      lr: slider("Rate", { min: -2.5, max: -0.5, step: 0.1, value: -1.3, read: (x) => 10 ** x, change: again, help: "learning rate of Adam" }),
      jitter: slider("Jitter", { min: 0, max: 32, step: 1, value: Math.max(1, Math.round(app.about.size / 28)), change: again, help: "pixels by which the image is moved at random" }),
      smooth: slider("Smoothness", { min: -5, max: 0, step: 0.25, value: -5, read: (x) => (x === -5 ? 0 : exponential(x)), change: again, help: "weight of the total variation" }),
      l2: slider("Small values", { min: -5, max: 0, step: 0.25, value: -5, read: (x) => (x === -5 ? 0 : exponential(x)), change: again, help: "weight of the squared values" }),
      seed: slider("Seed", { min: 0, max: 20, step: 1, value: 0, change: again }),
    };
    this.what = select("Aim", [["channel", "all positions"], ["neuron", "the middle one"]], again);
    this.rotate = el("input", { type: "checkbox", checked: true, onchange: again });
    this.automatic = el("input", { type: "checkbox", checked: true });
    this.controls = el("fieldset", { class: "sliders" }, el("legend", {}, "The climb"),
      ...Object.values(this.sliders).map((each) => each.element), this.what.element,
      el("label", { class: "check" }, this.rotate, "Rotate and scale at random"),
      el("label", { class: "check" }, this.automatic, "Climb when a unit is chosen"), this.starter.element,
      el("details", {}, el("summary", {}, "The classes of what was synthesised"), this.top));
  }

  get auto() {
    return this.automatic.checked;
  }

  clear() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.progress.value = 0;
    this.text.textContent = "";
    this.top.replaceChildren();
    this.python.replaceChildren();
  }

  async run(job, unit) {
    const asked = Object.fromEntries(Object.entries(this.sliders).map(([name, each]) => [name, each.value]));
    const request = { kind: "climb", ...unit, ...asked, what: this.what.value, rotate: this.rotate.checked };
    this.#state(true);
    try {
      for await (const each of job(request)) {
        if (each.kind === "waiting") continue;
        paintImage(this.canvas, each.bytes, each.h, each.w);
        if (each.kind === "image") {
          this.progress.value = each.step / each.steps;
          this.text.textContent = `step ${each.step} of ${each.steps}, ${number(each.value)}`;
        } else this.#done(each);
      }
    } finally {
      this.#state(false);
    }
  }

  #state(running) {
    this.starter.state(running);
    this.canvas.setAttribute("aria-busy", String(running));
  }

  #done(found) {
    this.progress.value = 1;
    const rise = `${number(found.history[0])} → ${number(found.history.at(-1))}`;
    this.text.textContent = `${rise} in ${found.steps} steps${found.status === "finished" ? "" : `: ${found.status}`}`;
    this.canvas.setAttribute("aria-label", `What excites ${found.name}: ${rise}${found.top.length ? `; classified as ${found.top[0].name}, ${percent(found.top[0].p)}` : ""}`);
    this.top.replaceChildren(...topRows(found.top));
    this.python.replaceChildren(code(found.code, "the climb"));
  }
}

const quoted = (name) => `"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
