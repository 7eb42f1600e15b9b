// What tabs with heavy work share: the card with a question and a row of options, the button that starts and stops, and
// views that compute something of the image, again for every other image.

import { el } from "./dom.js";

/** A card: a question, a line on it, a row of options, and what they lead to. */
export function card(label, question, note, options, ...parts) {
  return el("section", { class: "card", "aria-label": label },
    el("div", { class: "title" }, el("h2", {}, question), el("p", { class: "soft" }, note)),
    el("div", { class: "controls" }, ...options), ...parts);
}

/** A button that starts work and, while it runs, stops it. */
export class Starter {
  constructor(app, word, start) {
    this.word = word;
    this.element = el("button", { type: "button", class: "primary", onclick: () => (this.running ? app.cancel() : start()) }, word);
  }

  state(running) {
    this.running = running;
    this.element.textContent = running ? "Stop" : `${this.word} again`;
  }

  at(text) {
    this.element.textContent = `Stop (${text})`;
  }
}

/** A tab that computes something of the image: ``work(job, picture)`` does it, ``text`` says what is missing. */
export class ImageView {
  constructor(app, id, title, word) {
    Object.assign(this, { app, id, title });
    this.starter = new Starter(app, word, () => this.run());
  }

  /** Shown: computed at once if the image is another one. */
  shown() {
    if (this.app.source.ready && this.of !== this.app.source.id) this.run();
  }

  changed() {
    this.of = undefined;
    if (!this.app.source.live) this.shown();
  }

  run() {
    if (!this.app.source.ready) {
      this.text.textContent = "Open an image first.";
      return;
    }
    this.app.work(async (job) => {
      this.of = this.app.source.id;
      const picture = await this.app.source.picture();
      this.state(true);
      try {
        await this.work(job, picture);
      } finally {
        this.state(false);
      }
    });
  }

  state(running) {
    this.starter.state(running);
  }
}
