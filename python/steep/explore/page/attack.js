// Attacks: how far must the image move until the network predicts something else? Judged on the rounded image.

import { ClassField } from "./classes.js";
import { code, el, number, percent, select, slider, topRows } from "./dom.js";
import { paintImage } from "./paint.js";
import { ImageView, card } from "./work.js";

const NORMS = { pgd: ["linf", "l2", "l1"], fgsm: ["linf"], ddn: ["l2"] };
const METHODS = [["pgd", "PGD, within the radius"], ["fgsm", "FGSM, one step"], ["ddn", "DDN, the smallest change"]];
// The radius by the slider's position in [0, 1], and as text.
const RADII = {
  linf: { read: (t) => Math.max(1, Math.round(100 ** t)) / 255, start: 0.35, show: (r) => `${Math.round(r * 255)}/255` },
  l2: { read: (t) => 0.1 * 200 ** t, start: 0.5, show: number },
  l1: { read: (t) => 1000 ** t, start: 0.6, show: number },
};

export class AttackView extends ImageView {
  constructor(app) {
    super(app, "attack", "Attack", "Attack");
    const again = () => this.run();
    this.method = select("Method", METHODS, () => {
      this.#norms();
      again();
    });
    this.norm = select("Norm", [], () => {
      this.#radius();
      again();
    });
    this.target = new ClassField(app.about, "Target", "any other class", again);
    this.radius = slider("Radius", { min: 0, max: 1, step: 0.01, value: 0.35, read: (t) => RADII[this.norm.value || "linf"].read(t),
      show: (r) => RADII[this.norm.value || "linf"].show(r), change: again, help: "largest norm of the change, for pixels in [0, 1]" });
    this.steps = slider("Steps", { min: 1, max: 100, step: 1, value: 40, change: again });
    this.text = el("p", { class: "verdict large", role: "status" });
    this.result = el("div", { class: "maps three" });
    this.#norms();
    const options = [this.method, this.norm, this.target, this.radius, this.steps, this.starter].map((each) => each.element);
    this.element = card("Attacks", "How little does it take to break the answer?",
      "Success means that the image, rounded to bytes as a file would hold it, is predicted again, and differently.",
      options, this.text, this.result);
  }

  async work(job, picture) {
    const request = { kind: "attack", picture, method: this.method.value, norm: this.norm.value, eps: this.radius.value,
      steps: this.steps.value, target: this.target.value };
    for await (const each of job(request)) {
      if (each.kind === "step") this.starter.at(`step ${each.step} of ${each.steps}`);
      if (each.kind === "attacked") this.#show(each);
    }
  }

  state(running) {
    super.state(running);
    this.result.setAttribute("aria-busy", String(running));
  }

  #norms() {
    this.norm.input.replaceChildren(...NORMS[this.method.value].map((name) => el("option", { value: name }, name)));
    this.radius.element.hidden = this.method.value === "ddn";
    this.steps.element.hidden = this.method.value === "fgsm";
    this.#radius();
  }

  #radius() {
    this.radius.input.value = RADII[this.norm.value].start;
    this.radius.shown();
  }

  #show(found) {
    const [before, after] = [found.before[0], found.after[0]];
    const distance = found.norm === "linf" ? `${Math.round(found.distance * 255)}/255` : number(found.distance);
    this.text.textContent = found.success
      ? `Broken: ${before.name} became ${after.name} by a change of ${distance} in ${found.norm}`
      : found.target === null ? `The answer holds: still ${after.name}, ${percent(after.p)}` : `Not the target: ${after.name}, ${percent(after.p)}`;
    this.text.className = `verdict large ${found.success ? "bad" : "good"}`;
    const size = found.h * found.w * 3;
    const captions = ["before", "after", `the change, ${found.largest ? number(0.5 / found.largest) : 0} times, on grey`];
    const figures = captions.map((caption, i) => {
      const canvas = el("canvas", { role: "img", class: "picture", "aria-label": `The image: ${caption}` });
      paintImage(canvas, found.bytes.subarray(i * size, (i + 1) * size), found.h, found.w);
      const rows = [found.before, found.after][i];
      return el("figure", {}, canvas, el("figcaption", {}, el("b", {}, caption)), rows ? el("ol", { class: "top" }, ...topRows(rows))
        : el("p", { class: "soft" }, `${found.changed.toLocaleString("en")} of ${found.of.toLocaleString("en")} values changed, by ${Math.round(found.largest * 255)} of 255 at most`));
    });
    this.result.replaceChildren(...figures, code(found.code, "the attack"));
  }
}
