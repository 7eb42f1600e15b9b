// The page as a whole: one image source, one view at a time, one request for a frame and one job under way.

import { AttackView } from "./attack.js";
import { byId, el, topRows } from "./dom.js";
import { EveryView } from "./every.js";
import { FlipView } from "./flip.js";
import { LayerView } from "./layer.js";
import { LayerMap } from "./map.js";
import { useColours } from "./paint.js";
import { SaliencyView } from "./saliency.js";
import { Source } from "./source.js";
import { about, job, message } from "./wire.js";

class App {
  constructor(told) {
    this.about = told;
    useColours(told.colours);
    document.title = `${told.name} · steep explore`;
    byId("model").textContent = `${told.name} · ${told.layers.length} layers · ${told.size} × ${told.size}${told.grey ? ", grey" : ""}`;
    this.source = new Source(told, { changed: () => this.#changed(), marked: (place) => this.layer?.marked(place),
      say: (text) => this.say(text), problem: (text) => this.problem(text) });
    this.views = [];
    if (told.layers.length) this.#layers();
    if (told.classes) this.views.push(new SaliencyView(this), new AttackView(this));
    this.views.push(new FlipView(this));
    this.#tabs();
    if (told.fault) this.fault = `the model cannot be run: ${told.fault}`;
    else if (!told.layers.length) this.fault = "this model has no layers that can be looked into";
    this.problem("");
    if (!told.classes) this.say("this model gives no scores of classes: saliency maps and attacks are left out");
  }

  #layers() {
    this.layer = new LayerView(this);
    this.views.push(this.layer, new EveryView(this));
    this.map = new LayerMap(this.about.layers, (layer, byUser) => {
      this.layer.show(layer);
      if (byUser) this.open("layer");
      this.refresh();
    });
    byId("map").append(this.map.element);
    const maps = this.about.layers.findIndex((layer) => /relu|pool/i.test(layer.kind));
    this.map.select(Math.max(0, maps), false);
  }

  /** Another view, or another layer and unit of it. */
  goTo(name, channel) {
    const row = this.about.layers.findIndex((layer) => layer.name === name);
    this.map.select(row, true);
    this.layer.choose(channel);
  }

  /** The names of a layer's units: those of the classes for the scores. */
  names(layer) {
    return layer.shape[0] === this.about.classes && layer.shape.slice(1).every((n) => n === 1) ? this.about.labels : null;
  }

  say(text) {
    byId("status").textContent = text;
  }

  /** Say what is wrong; "" when it is over, and what is wrong with the model stays. */
  problem(text) {
    byId("problem").textContent = text || (this.fault ?? "");
    byId("problem").hidden = !byId("problem").textContent;
  }

  // -- frames -------------------------------------------------------------------------------------------------------

  /** Ask for a frame of what is shown; while one is under way, for one more afterwards. */
  async refresh() {
    if (!this.source.ready || this.about.fault) return;
    this.again = true;
    if (this.asking) return;
    this.asking = true;
    let times = [];
    while (this.again) {
      this.again = false;
      try {
        await this.#frame();
        times = [...times, performance.now()].slice(-20);
        if (this.source.live === "camera") {
          this.again = true;
          this.rate = times.length > 1 ? (1000 * (times.length - 1)) / (times.at(-1) - times[0]) : 0;
          this.say(`camera: ${this.rate.toFixed(0)} frames a second`);
          await new Promise((resume) => (document.hidden ? setTimeout(resume, 300) : requestAnimationFrame(resume)));
        }
      } catch (error) {
        this.problem(error.message);
      }
    }
    this.asking = false;
  }

  async #frame() {
    const view = this.view?.wish ? this.view : null;
    const wish = view?.wish ?? { layers: [], unit: null };
    const query = new URLSearchParams(wish.layers.map((name) => ["layer", name]));
    for (const name of ["first", "count", "side", "unit"]) if (wish[name] !== null && wish[name] !== undefined) query.set(name, wish[name]);
    const body = this.source.live ? this.source.square() : new Uint8Array(0);
    if (!this.source.live) query.set("picture", this.source.id);
    const frame = await message(`live?${query}`, body);
    byId("top").replaceChildren(...topRows(frame.top, this.layer && ((each) => this.#classUnit(each))));
    if (view && view === this.view && same(wish.layers, view.wish.layers)) view.frame(frame);
    if (this.failed) this.problem("");
    this.failed = false;
  }

  /** The unit of a class: that of the scores. */
  #classUnit(each) {
    const scores = this.about.layers.findLast((layer) => this.names(layer) || (layer.shape.length === 1 && layer.shape[0] === this.about.classes));
    if (scores) this.goTo(scores.name, each.index);
  }

  #changed() {
    this.problem("");
    this.refresh();
    this.layer?.unit.changed();
    if (this.view && this.view !== this.layer) this.view.changed?.();
    for (const view of this.views) if (view !== this.view) view.of = undefined;
  }

  // -- jobs ---------------------------------------------------------------------------------------------------------

  /** Do work that consists of jobs; what was under way is cancelled. ``work`` gets a function that runs a job. */
  async work(work) {
    this.cancel();
    const mine = (this.running = new AbortController());
    const app = this;
    async function* run(request) {
      mine.signal.throwIfAborted();
      for await (const each of job(request, mine.signal)) {
        if (each.kind === "waiting") app.say(each.before ? `waiting for ${each.before} other job${each.before > 1 ? "s" : ""}` : "working…");
        else yield each;
      }
    }
    this.problem("");
    this.say("working…");
    document.body.classList.add("working");
    try {
      await work(run);
    } catch (error) {
      if (!mine.signal.aborted) this.problem(error.message);
    } finally {
      if (this.running === mine) {
        this.running = null;
        document.body.classList.remove("working");
        this.say("");
      }
    }
  }

  cancel() {
    this.running?.abort();
    this.running = null;
    document.body.classList.remove("working");
    this.say("");
  }

  // -- tabs ---------------------------------------------------------------------------------------------------------

  #tabs() {
    this.tabs = this.views.map((view) => el("button", { type: "button", role: "tab", id: `tab-${view.id}`, "aria-controls": `panel-${view.id}`,
      "aria-selected": "false", tabindex: "-1", onclick: () => this.open(view.id) }, view.title));
    this.panels = this.views.map((view) => el("div", { role: "tabpanel", id: `panel-${view.id}`, "aria-labelledby": `tab-${view.id}`, hidden: true }, view.element));
    byId("tabs").append(...this.tabs);
    byId("panels").append(...this.panels);
    byId("tabs").addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1, Home: -1e6, End: 1e6 }[event.key];
      if (!by) return;
      event.preventDefault();
      const at = this.views.indexOf(this.view) + by;
      const next = Math.abs(by) > 1 ? (by < 0 ? 0 : this.views.length - 1) : (at + this.views.length) % this.views.length;
      this.open(this.views[next].id);
      this.tabs[next].focus();
    });
    if (this.views.length) this.open(this.views[0].id);
  }

  open(id) {
    const at = this.views.findIndex((view) => view.id === id);
    if (this.view === this.views[at]) return;
    this.cancel();
    this.view = this.views[at];
    this.tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
      this.panels[i].hidden = i !== at;
    });
    this.refresh();
    this.view.shown?.();
  }
}

const same = (a, b) => a.length === b.length && a.every((each, i) => each === b[i]);

try {
  const app = new App(await about());
  await app.source.begin();
  document.body.dataset.ready = "true";
} catch (error) {
  byId("problem").hidden = false;
  byId("problem").textContent = error.message;
}
