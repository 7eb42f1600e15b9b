"""The script and the style of the page with sliders: they draw paths that steep has computed, and compute none.

The page's data is JSON in ``#data``; ``html.py`` writes it. In the script, ``chosen()`` finds the run for the sliders'
positions, and ``paint()`` draws all of it.
"""

STYLE = """
<style>
.descent { display: grid; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); gap: 1.5rem; align-items: start; }
@media (max-width: 54rem) { .descent { grid-template-columns: minmax(0, 1fr); } }
.descent canvas { width: 100%; aspect-ratio: 1; display: block; border: 1px solid var(--line); border-radius: 6px;
  background: #fff; }
.sliders { display: grid; grid-template-columns: auto minmax(0, 1fr) 6.5rem; gap: .5rem .8rem; align-items: center;
  margin-bottom: 1rem; font-variant-numeric: tabular-nums; }
.sliders input { width: 100%; accent-color: var(--accent); min-height: 1.6rem; }
.sliders output { text-align: right; }
.wide { overflow-x: auto; }
.values { width: 100%; font-size: .84rem; }
.values td, .values th { padding: .3rem .5rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line);
  font-weight: normal; white-space: nowrap; }
.values th { color: var(--soft); } .values td:first-child { color: var(--ink); }
.values .number { text-align: right; }
.values label { display: flex; gap: .5rem; align-items: center; cursor: pointer; }
.values i { width: .8rem; height: .8rem; border-radius: 50%; flex: none; outline: 1px solid var(--line); }
@media (max-width: 30rem) { .sliders { grid-template-columns: auto minmax(0, 1fr) 4.8rem; }
  .values { font-size: .84rem; } .values tr { display: block; padding: .25rem 0; }
  .values td, .values th { display: inline-block; border: 0; padding: 0 .8rem 0 0; }
  .values td:first-child { display: block; } }
.ranges { color: var(--soft); font-size: .88rem; margin: .4rem 0 0; }
.problems { color: var(--soft); font-size: .9rem; margin: .8rem 0 0; padding-left: 1.1rem; }
.play { font: inherit; padding: .3rem 1rem; border: 1px solid var(--line); border-radius: 6px; background: var(--page);
  color: var(--ink); cursor: pointer; }
</style>
"""

SCRIPT = """
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("plot"), pen = canvas.getContext("2d");
const slider = name => document.getElementById(name);
const shown = new Set(data.shown);
const back = new Image();
let timer = 0;

// The key of a method's run: its name and the positions of the sliders that it depends on.
const key = method => [method.name, ...["rate", "momentum", "start"].map(
  name => name === "start" || method.settings.includes(name) ? slider(name).value : "-")].join("|");
const chosen = method => data.runs[key(method)];

function place(p) {
  const [[l, r], [b, t]] = data.axes;
  return [(p[0] - l) / (r - l) * canvas.width, (t - p[1]) / (t - b) * canvas.height];
}

function trace(run, colour, step) {
  const at = run.p.slice(0, step + 1).map(place), unit = canvas.width / 460;
  pen.strokeStyle = pen.fillStyle = colour;
  pen.lineWidth = 1.6 * unit;
  pen.lineJoin = "round";
  pen.beginPath();
  at.forEach(([x, y], i) => i ? pen.lineTo(x, y) : pen.moveTo(x, y));
  pen.stroke();
  const dot = ([x, y], radius, fill, rim) => {
    pen.beginPath(); pen.arc(x, y, radius * unit, 0, 2 * Math.PI);
    pen.fillStyle = fill; pen.fill();
    if (rim) { pen.strokeStyle = rim; pen.lineWidth = 1.5 * unit; pen.stroke(); }
  };
  at.forEach(p => dot(p, 2, colour));
  dot(at[at.length - 1], 5.5, colour, "#fff");
  dot(at[0], 4, "#fff", "#1d2430");
}

const number = (v, digits = 4) => v === null ? "not finite" : Math.abs(v) >= 1e5 || (v && Math.abs(v) < 1e-3)
  ? v.toExponential(2) : String(Number(v.toPrecision(digits)));

function row(method, step) {
  const run = chosen(method), line = document.getElementById("row-" + method.id);
  const last = Math.min(step, run.p.length - 1), ended = last === run.p.length - 1;
  const point = data.dimensions === 1 ? run.p[last].slice(0, 1) : run.p[last];
  line.cells[1].textContent = number(run.v[last]);
  line.cells[2].textContent = "(" + point.map(v => number(v, 3)).join(", ") + ")";
  line.cells[3].textContent = last + (ended && run.s !== "finished" ? " " + run.s : "");
}

function problems(step) {
  const list = document.getElementById("problems");
  list.replaceChildren();
  for (const method of data.methods) {
    const run = chosen(method), last = Math.min(step, run.p.length - 1);
    if (!shown.has(method.name) || !run.w || (run.k !== undefined && last < run.k)) continue;
    const item = document.createElement("li");
    item.textContent = method.name + ": " + run.w;
    list.append(item);
  }
}

function paint() {
  const step = Number(slider("step").value);
  const size = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1));
  if (size && canvas.width !== size) canvas.width = canvas.height = size;
  pen.drawImage(back, 0, 0, canvas.width, canvas.height);
  for (const method of data.methods) {
    row(method, step);
    if (shown.has(method.name)) trace(chosen(method), method.colour, step);
  }
  for (const name of ["rate", "momentum"]) slider(name + "-is").textContent = number(data[name][slider(name).value]);
  slider("start-is").textContent = "(" + data.start[slider("start").value].map(v => number(v)).join(", ") + ")";
  slider("step-is").textContent = step;
  problems(step);
}

function play() {
  const button = document.getElementById("play"), last = Number(slider("step").max);
  if (timer) { clearInterval(timer); timer = 0; button.textContent = "Play"; return; }
  if (Number(slider("step").value) === last) slider("step").value = 0;
  button.textContent = "Pause";
  timer = setInterval(() => {
    slider("step").value = Number(slider("step").value) + 1;
    paint();
    if (Number(slider("step").value) === last) play();
  }, 90);
}

for (const name of ["rate", "momentum", "start", "step"]) slider(name).addEventListener("input", paint);
for (const box of document.querySelectorAll(".values input")) box.addEventListener("change", () => {
  box.checked ? shown.add(box.value) : shown.delete(box.value);
  paint();
});
document.getElementById("play").addEventListener("click", play);
window.addEventListener("resize", paint);
back.addEventListener("load", paint);
back.src = data.image;
</script>
"""
