// Where the image comes from: a file that is opened, dropped or pasted, the folder, the camera, or a drawing.
// ``Source.square()`` gives the RGBA bytes of a live one; ``Source.picture()`` the number of an image that jobs may use.

import { byId, code, el } from "./dom.js";
import { paintImage, resize } from "./paint.js";
import { message } from "./wire.js";

export class Source {
  /** ``changed`` is called when there is another image, ``marked`` when a place of it is chosen. */
  constructor(about, { changed, marked, say, problem }) {
    Object.assign(this, { about, changed, marked, say, problem, size: about.size, live: null, id: null, choice: 0, mark: null, name: "" });
    this.canvas = byId("seen");
    this.work = el("canvas", { width: this.size, height: this.size });
    this.context = this.work.getContext("2d", { willReadFrequently: true });
    this.#buttons();
    this.#drops();
    this.#marks();
    this.#pen();
    if (about.folder.length) this.#folder();
    this.#title();
  }

  get ready() {
    return this.live !== null || this.id !== null;
  }

  /** The image that was given at the start, or the first of the folder. */
  async begin() {
    if (this.about.first !== null) await this.#take(() => message(`folder?id=${this.about.first}`));
    else if (this.about.folder.length) await this.fromFolder(0);
    else if (this.about.grey) this.#startDrawing();
  }

  async open(file) {
    this.say(`opening ${file.name}…`);
    await this.#take(() => message(`picture?name=${encodeURIComponent(file.name)}`, file));
  }

  async fromFolder(index) {
    if (await this.#take(() => message(`folder?index=${index}`))) byId("folder").querySelector("select").value = index;
  }

  /** The number of the image as it is now; a frame of the camera or a drawing is sent first. */
  async picture() {
    await this.keeping;
    if (this.live) {
      const name = this.live === "camera" ? "camera" : "drawing";
      const kept = await message(`square?name=${name}`, this.square());
      return kept.id;
    }
    return this.id;
  }

  /** The RGBA bytes of the camera's frame or the drawing. */
  square() {
    if (this.live === "camera") this.#grab();
    const data = this.context.getImageData(0, 0, this.size, this.size).data;
    if (this.live === "camera") this.#show(data);
    return data;
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.live = null;
    byId("camera").setAttribute("aria-pressed", "false");
    byId("draw").setAttribute("aria-pressed", "false");
    byId("pen").hidden = true;
    this.canvas.classList.remove("drawing");
  }

  /** Opens what is answered, unless another image, the camera or a drawing has been chosen meanwhile; says whether. */
  async #take(get) {
    const choice = (this.choice += 1);
    try {
      const found = await get();
      if (choice !== this.choice) return false;
      this.stop();
      Object.assign(this, { id: found.id, name: found.name });
      paintImage(this.canvas, found.bytes, found.h, found.w);
      this.#title(found.note);
      byId("image-code").replaceChildren(code(found.code, "the image"));
      this.say(`${found.name} is open`);
      this.changed();
      return true;
    } catch (error) {
      if (choice === this.choice) this.problem(error.message);
      return false;
    }
  }

  #title(note = "") {
    byId("drop").hidden = this.ready;
    byId("folder").querySelector("select").value = "";
    const what = this.ready ? `${this.name} · ${this.size} × ${this.size}${this.about.grey ? ", grey" : ""}, as the network sees it` : "";
    byId("about-image").textContent = note ? `${what}. ${note}.` : what;
    this.canvas.setAttribute("aria-label", this.ready ? `The image: ${what}` : "No image yet");
    byId("save").hidden = !this.ready;
  }

  #buttons() {
    byId("open").addEventListener("click", () => byId("file").click());
    byId("file").addEventListener("change", (event) => event.target.files[0] && this.open(event.target.files[0]));
    byId("camera").addEventListener("click", () => (this.live === "camera" ? this.#freeze() : this.#startCamera()));
    byId("draw").addEventListener("click", () => (this.live === "draw" ? this.#freeze() : this.#startDrawing()));
    byId("save").addEventListener("click", () => {
      byId("save").download = `${this.name.replace(/\.\w+$/, "") || "image"}.png`;
      byId("save").href = this.canvas.toDataURL("image/png");
    });
  }

  /** Keep the frame of the camera or the drawing as an image. */
  async #freeze() {
    const name = this.live === "camera" ? "camera" : "drawing";
    const data = this.square();
    this.stop(); // now, so that pressing the button again begins another even before the answer is there
    this.keeping = this.#take(() => message(`square?name=${name}`, data));
    await this.keeping;
  }

  #folder() {
    const choice = byId("folder");
    choice.hidden = false;
    const select = choice.querySelector("select");
    select.append(el("option", { value: "" }, `choose one of ${this.about.folder.length}…`), ...this.about.folder.map((name, index) => el("option", { value: index }, name)));
    select.addEventListener("change", () => select.value && this.fromFolder(Number(select.value)));
  }

  #drops() {
    addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      const file = event.dataTransfer.files[0];
      if (file) this.open(file);
    });
    addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
      if (file) this.open(file);
    });
  }

  // -- the camera ---------------------------------------------------------------------------------------------------

  async #startCamera() {
    const choice = (this.choice += 1);
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: false });
      if (choice !== this.choice) return stream.getTracks().forEach((track) => track.stop());
      this.stop();
      this.stream = stream;
      this.video = el("video", { playsinline: true, muted: true });
      this.video.srcObject = stream;
      await this.video.play();
      this.#live("camera");
    } catch (error) {
      this.problem(`the camera cannot be used: ${error.message}`);
    }
  }

  #grab() {
    const { videoWidth: width, videoHeight: height } = this.video;
    const side = Math.min(width, height);
    if (side) this.context.drawImage(this.video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, this.size, this.size);
  }

  #show(data) {
    resize(this.canvas, this.size, this.size);
    this.canvas.getContext("2d").putImageData(new ImageData(data, this.size), 0, 0);
  }

  #live(kind) {
    this.choice += 1;
    this.live = kind;
    this.name = kind === "camera" ? "camera" : "drawing";
    byId(kind).setAttribute("aria-pressed", "true");
    byId("image-code").replaceChildren();
    this.#title(kind === "camera" ? "Press Camera again to keep a frame" : "Arrow keys move the pen, space draws");
    this.changed();
  }

  // -- drawing ------------------------------------------------------------------------------------------------------

  #startDrawing() {
    this.stop();
    this.#wipe();
    byId("pen").hidden = false;
    this.canvas.classList.add("drawing");
    this.#live("draw");
  }

  #wipe() {
    this.context.fillStyle = this.about.grey ? "black" : "white";
    this.context.fillRect(0, 0, this.size, this.size);
    this.#show(this.context.getImageData(0, 0, this.size, this.size).data);
  }

  #pen() {
    const colour = byId("pen").querySelector("input");
    colour.value = this.about.grey ? "#ffffff" : "#202020";
    byId("clear").addEventListener("click", () => {
      this.#wipe();
      this.changed();
    });
    const stroke = (from, to) => {
      this.context.strokeStyle = colour.value;
      this.context.lineWidth = this.size / 14;
      this.context.lineCap = this.context.lineJoin = "round";
      this.context.beginPath();
      this.context.moveTo(...from);
      this.context.lineTo(...to);
      this.context.stroke();
      this.#show(this.context.getImageData(0, 0, this.size, this.size).data);
      this.changed();
    };
    let last = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      if (this.live !== "draw") return;
      this.canvas.setPointerCapture(event.pointerId);
      last = this.#place(event);
      stroke(last, last);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!last || this.live !== "draw") return;
      const here = this.#place(event);
      stroke(last, here);
      last = here;
    });
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => (last = null));
    this.cursor = [this.size / 2, this.size / 2];
    this.stroke = stroke;
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.size, ((event.clientY - box.top) / box.height) * this.size];
  }

  // -- a place of the image -----------------------------------------------------------------------------------------

  #marks() {
    this.canvas.addEventListener("click", (event) => this.ready && this.live !== "draw" && this.#markAt(this.#place(event)));
    byId("unmark").addEventListener("click", () => this.#markAt(null));
    this.canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (this.live === "draw" && (by || event.key === " ")) {
        event.preventDefault();
        const before = this.cursor;
        if (by) this.cursor = before.map((at, i) => clamp(at + (by[i] * this.size) / 28, this.size));
        if (event.key === " ") this.down = !this.down;
        if (this.down) this.stroke(before, this.cursor);
      } else if (by && this.ready) {
        event.preventDefault();
        const from = this.mark ?? [this.size / 2, this.size / 2];
        this.#markAt(from.map((at, i) => clamp(at + (by[i] * this.size) / 28, this.size)));
      } else if (event.key === "Escape") this.#markAt(null);
    });
  }

  #markAt(place) {
    this.mark = place;
    byId("mark").hidden = byId("unmark").hidden = !place;
    if (place) {
      byId("mark").style.left = `${(100 * place[0]) / this.size}%`;
      byId("mark").style.top = `${(100 * place[1]) / this.size}%`;
      this.say(`place ${place.map((at) => Math.round(at)).join(", ")} is chosen; units are sorted by their answer to it`);
    }
    this.marked(place && place.map((at) => at / this.size));
  }
}

const clamp = (at, size) => Math.min(size - 1, Math.max(0, at));
