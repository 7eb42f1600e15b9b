// Small helpers: elements, numbers as text, and the code that is shown beside a result.

/** An element with attributes and children. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** A number with three digits. */
export function number(value) {
  if (value === null || value === undefined) return "not finite";
  if (value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 1e5)) return value.toExponential(1);
  return String(Number(value.toPrecision(3)));
}

export const shape = (sizes) => sizes.join(" × ");

/** Python that gives a result again, with a button that copies it. */
export function code(source, name = "this") {
  const copy = el("button", { type: "button", "aria-label": `Copy the Python of ${name}` }, "Copy");
  const text = el("code", {}, source);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source);
      copy.textContent = "Copied";
    } catch { // where the browser denies it, Ctrl-C does it
      getSelection().selectAllChildren(text);
      copy.textContent = "Selected";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  return el("details", { class: "code" }, el("summary", {}, "Python"),
    el("div", {}, copy, el("pre", { tabindex: "0" }, text)));
}

/** The classes with the highest scores, as rows with bars. */
export function topRows(classes, choose) {
  return classes.map((each) => {
    const inside = [el("span", { class: "name" }, each.name), el("span", { class: "p" }, percent(each.p)),
      el("span", { class: "score", title: "the score before the softmax" }, number(each.score)),
      el("i", { style: null, "data-share": each.p })];
    inside[3].style.width = `${100 * each.p}%`;
    const row = choose
      ? el("button", { type: "button", title: `what excites ${each.name}`, onclick: () => choose(each) }, ...inside)
      : el("div", {}, ...inside);
    return el("li", {}, row);
  });
}

export function percent(share) {
  return share >= 0.9995 ? "100%" : `${(100 * share).toFixed(1)}%`;
}

/** A labelled slider whose value is shown; ``read`` maps its position to the value. */
export function slider(label, { min, max, step, value, read = (x) => x, show = number, help = "", change = () => {} }) {
  const input = el("input", { type: "range", min, max, step, value, title: help });
  const output = el("output", {});
  const shown = () => {
    output.textContent = show(read(Number(input.value)));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", shown);
  input.addEventListener("change", change);
  shown();
  const made = el("label", { class: "slider" }, el("span", {}, label), input, output);
  return { element: made, input, get value() { return read(Number(input.value)); }, shown };
}

/** A labelled choice. */
export function select(label, options, change = () => {}) {
  const input = el("select", { onchange: change },
    ...options.map(([value, name]) => el("option", { value }, name)));
  return { element: el("label", { class: "choice" }, el("span", {}, label), input), input,
    get value() { return input.value; } };
}
