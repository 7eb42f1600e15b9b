// The flip-book of backpropagation: mount(element, data, {keys}) shows the graph of flipbook_data() and steps through it.
// Steps 1 to n compute the values, one node each; the rest complete the gradients, from the result backwards. Blocks can
// be unfolded. Reads nothing but its data. Start reading at mount().

const WIDTH = 120, HEIGHT = 58, GAP = 14, RISE = 26, CORNER = 26;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

const shapeText = (shape) => (shape === null ? "shape not known" : shape.length ? `(${shape.join(", ")}${shape.length === 1 ? "," : ""})` : "scalar");
const brief = (value, shape) => (value === null ? "not kept" : value.kind === "number" ? value.text : shapeText(shape));

const isOp = (node) => node.inputs.length > 0 || node.block !== null;

function title(node) {
  const op = isOp(node) ? node.op : node.op === "leaf" ? "variable" : "constant";
  if (node.name) return `${node.name}${isOp(node) ? ` = ${op}` : ""}`;
  return node.op === "constant" && node.value && node.value.kind === "number" ? node.value.text : op;
}

// ---- which nodes show: a block, or what is in it -------------------------------------------------------------------

// All nodes of the page by index; those in blocks know theirs.
function numbered(data) {
  const all = [...data.nodes, ...data.inside].map((node, number) => ({...node, number, owner: null, sources: node.sources ?? node.inputs}));
  all.forEach((node, number) => node.block?.inside.forEach((k) => { all[k].owner = number; }));
  for (const node of all) node.parts = node.parts.map((part, k) => (part === "gradient" ? all[node.sources[k]].gradient : part));
  return all;
}

// The nodes that show while the blocks of the set `open` are unfolded, in order, and in which their gradients are complete.
// Their inputs are places in this list; operands are their values, also where the block that they are in is folded.
function view(all, count, open) {
  const shown = all.slice(0, count).flatMap((node) => (open.has(node.number) ? node.block.inside : [node.number]));
  const place = new Map(shown.map((number, at) => [number, at]));
  const nodes = shown.map((number) => ({...all[number], inputs: all[number].sources.map((k) => place.get(place.has(k) ? k : all[k].owner)),
    operands: all[number].sources.map((k) => all[k].value)}));
  const backward = nodes.map((_, i) => i).filter((i) => nodes[i].gradient !== null).reverse();
  return {nodes, backward, place};
}

// ---- where the nodes stand: a row for each distance from the sources, split where the page is narrow ---------------

function ranks(nodes) {
  const rank = nodes.map(() => 0);
  nodes.forEach((node, i) => node.inputs.forEach((input) => { rank[i] = Math.max(rank[i], rank[input] + 1); }));
  const first = nodes.map(() => Infinity);
  nodes.forEach((node, i) => node.inputs.forEach((input) => { first[input] = Math.min(first[input], rank[i]); }));
  return nodes.map((node, i) => (node.inputs.length || first[i] === Infinity ? rank[i] : first[i] - 1));
}

function rows(nodes, columns) {
  const byRank = [];
  ranks(nodes).forEach((rank, i) => { (byRank[rank] ||= []).push(i); });
  const place = nodes.map(() => 0), all = [];
  for (const row of byRank) {
    const centre = (i) => (nodes[i].inputs.length ? nodes[i].inputs.reduce((sum, j) => sum + place[j], 0) / nodes[i].inputs.length : place[i]);
    row.sort((a, b) => centre(a) - centre(b) || a - b);
    row.forEach((i, at) => { place[i] = at - (row.length - 1) / 2; });
    for (let from = 0; from < row.length; from += columns) all.push(row.slice(from, from + columns));
  }
  return all;
}

function places(nodes, width) {
  const columns = Math.max(1, Math.floor((width - GAP) / (WIDTH + GAP)));
  const at = [];
  const all = rows(nodes, columns);
  all.forEach((row, number) => {
    const left = (width - row.length * (WIDTH + GAP) + GAP) / 2;
    row.forEach((i, k) => { at[i] = [left + k * (WIDTH + GAP), GAP + number * (HEIGHT + RISE)]; });
  });
  return {at, height: GAP + all.length * (HEIGHT + RISE)};
}

// ---- what is shown of an array --------------------------------------------------------------------------------------

function picture(value, label) {
  return make("figure", {}, make("img", {src: value.png, alt: `${label}: ${value.what}, between ${value.min} and ${value.max}`}),
    make("div", {class: `fb-bar fb-${value.colours}`, "aria-hidden": "true"}),
    make("div", {class: "fb-scale"}, ...value.labels.map((label) => make("span", {}, label))),
    make("p", {class: "fb-soft"}, `${value.what}; smallest ${value.min ?? "none"}, largest ${value.max ?? "none"}`));
}

function numbers(value) {
  if (value.rows.length === 1 && value.shape.length < 2)
    return make("div", {class: "fb-list"}, ...(value.rows[0].length ? value.rows[0].map((text) => make("span", {}, text)) : ["empty"]));
  return make("table", {}, ...value.rows.map((row) => make("tr", {}, ...row.map((text) => make("td", {}, text)))));
}

function drawn(value, label) {
  if (value === null) return make("p", {}, "not kept");
  const shown = value.kind === "number" ? make("div", {class: "fb-number"}, value.text)
    : value.kind === "table" ? numbers(value) : picture(value, label);
  return make("div", {}, shown, value.lost ? make("p", {}, value.lost) : "");
}

const ORIGINS = {
  "kept": "", "leaf": "the variable's value now", "variable": "held by a variable", "computed again": "not kept, computed again from its operands",
  "": "the graph did not keep it, since no gradient rule needs it",
};

// ---- the words of a step --------------------------------------------------------------------------------------------

const operand = (nodes, i) => nodes[i].name || (isOp(nodes[i]) ? `the result of ${nodes[i].op}` : nodes[i].op === "leaf" ? "a variable" : "a constant");

function sentence(nodes, i, backward) {
  const node = nodes[i], value = brief(node.value, node.shape);
  const line = node.where ? ` At ${node.where.file}:${node.where.line}.` : "";
  if (backward) {
    const to = node.parts.flatMap((part, k) => (part ? [`${operand(nodes, node.inputs[k])} gets ${brief(part, part.shape)}`] : []));
    return `The gradient with respect to ${title(node)} is complete: ${brief(node.gradient, node.shape)}.` + (to.length ? ` ${node.block ? "From it" : "By its rule"} ${to.join(", ")}.` : "");
  }
  if (!isOp(node)) return `${title(node)} is given: ${value}.`;
  if (node.block) return `${title(node)}, a block of ${node.block.count} nodes, gives ${value}.`;
  return `${node.op} of ${node.inputs.map((k) => operand(nodes, k)).join(" and ")} gives ${value}.${line}`;
}

function heading(text, kind) {
  return make("h3", {class: kind}, text);
}

function about(node) {
  const named = Object.entries(node.attributes).map(([name, value]) => `${name}=${value}`).join(", ");
  return [
    make("h2", {}, title(node)),
    make("p", {class: "fb-soft"}, `${node.block ? "a block" : isOp(node) ? node.op : node.op === "leaf" ? "a variable" : "a constant"}, ${node.dtype} ${shapeText(node.shape)}${named ? `, ${named}` : ""}`),
    node.what ? make("p", {}, node.what) : "",
    node.block ? blockAbout(node.block) : isOp(node) ? line(node.where) : "",
  ];
}

function blockAbout(block) {
  const ops = block.ops.map(([op, times]) => (times > 1 ? `${times} ${op}` : op)).join(", ");
  return make("div", {class: "fb-block"}, make("p", {}, `${block.count} nodes, folded: ${ops}. Value and gradient are those of the last.${block.inside.length ? "" : " The page does not hold them."}`),
    ...block.lines.map(line));
}

// The other results of a block, with their values or their gradients.
function others(node, what, kind) {
  return (node.block?.others ?? []).flatMap((each) => [heading(`${what} of ${each.name}, inside`, kind), drawn(each[what.toLowerCase()], each.name)]);
}

function line(where) {
  if (!where) return make("p", {class: "fb-soft"}, "line of Python: not kept");
  return make("div", {}, make("p", {class: "fb-soft"}, `${where.file}:${where.line}`), where.text ? make("pre", {}, where.text) : "");
}

function forwardDetail(nodes, i) {
  const node = nodes[i];
  return [
    ...about(node), heading("Value", "fb-v"), drawn(node.value, "value"),
    ORIGINS[node.origin] ? make("p", {class: "fb-soft"}, ORIGINS[node.origin]) : "", ...others(node, "Value", "fb-v"),
    ...node.inputs.flatMap((k, at) => [heading(`Operand ${at + 1}: ${operand(nodes, k)}`, ""), drawn(node.operands[at], "operand")]),
  ];
}

function handedOn(nodes, node, k) {
  const x = node.inputs.length === 1 ? "x" : `x${k + 1}`;
  const local = node.local[k] && node.local[k].kind === "number" && node.gradient.kind === "number" && node.parts[k].kind === "number";
  return [
    heading(`To ${operand(nodes, node.inputs[k])}${node.inputs.length > 1 ? ` (${x})` : ""}`, "fb-g"),
    node.rules[k] ? make("p", {}, "rule: ", make("code", {}, node.rules[k])) : "",
    local ? make("p", {}, "gradient times local derivative: ", make("code", {}, `${node.gradient.text} * ${node.local[k].text} = ${node.parts[k].text}`)) : "",
    drawn(node.parts[k], "gradient handed on"),
  ];
}

function backwardDetail(nodes, i) {
  const node = nodes[i];
  const users = nodes.reduce((count, user) => count + user.inputs.reduce((n, k, at) => n + (k === i && user.parts[at] ? 1 : 0), 0), 0);
  const rule = !node.block && node.parts.some(Boolean) && (node.own_rule ? "It has a gradient rule of its own, in Python." : "In the rules g is this gradient, x an operand and y the result.");
  return [
    ...about(node), heading("Gradient of the result with respect to this", "fb-g"), drawn(node.gradient, "gradient"), ...others(node, "Gradient", "fb-g"),
    users > 1 ? make("p", {class: "fb-soft"}, `the sum of what ${users} uses of it handed on`) : "",
    rule ? make("p", {class: "fb-soft"}, rule) : "",
    ...node.inputs.flatMap((_, k) => (node.parts[k] ? handedOn(nodes, node, k) : [])),
  ];
}

// ---- the page -------------------------------------------------------------------------------------------------------

// Shows the data in the element. keys: where arrow keys are listened for, such as document; by default the element.
// start: the first step that is shown. Returns {show(step), steps(), stop()}.
export function mount(element, data, {keys = element, start = 1} = {}) {
  const all = numbered(data), open = new Set();
  const status = make("output", {role: "status", "aria-live": "polite"});
  const slider = make("input", {type: "range", min: 1, max: 1, value: 1, "aria-label": "step", oninput: () => show(Number(slider.value))});
  const button = (text, label, to) => make("button", {type: "button", "aria-label": label, title: label, onclick: () => show(to())}, text);
  const controls = make("div", {class: "fb-controls"},
    button("|◀", "first step", () => 1), button("◀", "one step back", () => now - 1), button("▶", "one step on", () => now + 1),
    button("▶|", "last step", () => steps), slider, status);
  const graph = make("div", {class: "fb-graph"}), detail = make("div", {class: "fb-detail"});
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  let now = 1, edges = [], nodes, backward, place, steps, boxes, toggles;

  // The graph with the blocks that are unfolded now.
  function build() {
    ({nodes, backward, place} = view(all, data.nodes.length, open));
    steps = nodes.length + backward.length;
    slider.max = steps;
    const kind = (node) => (node.block ? " fb-folded" : isOp(node) ? "" : " fb-source") + (node.owner === null ? "" : " fb-inside");
    boxes = nodes.map((node, i) => make("button", {type: "button", title: title(node), class: `fb-node${kind(node)}`, onclick: () => show(goto(i))}));
    toggles = nodes.map((node) => (node.block?.inside.length ? toggle(node.number, "+") : all[node.owner]?.block.inside[0] === node.number ? toggle(node.owner, "−") : null));
    toggles.forEach((each, i) => boxes[i].classList.toggle("fb-cornered", Boolean(each)));
    graph.replaceChildren(svg, ...boxes.flatMap((box, i) => (toggles[i] ? [box, toggles[i]] : [box])));
    layOut();
  }
  // A click goes to the node's own step of the half one is in.
  const goto = (i) => (now > nodes.length && backward.includes(i) ? nodes.length + 1 + backward.indexOf(i) : i + 1);

  const words = (block) => (open.has(block) ? `Fold ${title(all[block])}` : `Unfold ${title(all[block])}, ${all[block].block.count} nodes`);

  // The button in the corner of a block, and of the first node of one that is unfolded.
  function toggle(block, text) {
    return make("button", {type: "button", class: "fb-toggle", title: words(block), "aria-label": words(block), "aria-expanded": String(open.has(block)),
      onclick: () => turn(block)}, text);
  }

  // Unfolds a block or folds it again, and goes to the node of it that comes first in the half one is in, or to it.
  function turn(block) {
    const isBackward = current()[0], unfolds = !open.has(block);
    if (unfolds) open.add(block); else open.delete(block);
    build();
    const inside = all[block].block.inside, last = inside.findLast((k) => all[k].gradient !== null);
    const at = place.get(!unfolds ? block : isBackward ? last ?? inside[0] : inside[0]);
    now = isBackward ? steps : 1;
    show(goto(at), unfolds ? `${title(all[block])} is unfolded. ` : `${title(all[block])} is folded. `);
    toggles[place.get(unfolds ? inside[0] : block)].focus({preventScroll: true});
  }

  // Below what is told of a node: the same in words.
  function blockButton(node) {
    const block = node.block?.inside.length ? node.number : node.owner;
    return block === null ? "" : make("button", {type: "button", class: "fb-turn", "aria-expanded": String(open.has(block)), onclick: () => turn(block)}, words(block));
  }

  function layOut() {
    const width = graph.clientWidth;
    if (!width) return;
    const {at, height} = places(nodes, width);
    svg.setAttribute("width", width); svg.setAttribute("height", height);
    boxes.forEach((box, i) => { box.style.cssText = `left:${at[i][0]}px;top:${at[i][1]}px;width:${WIDTH}px;height:${HEIGHT}px`; });
    toggles.forEach((each, i) => { if (each) each.style.cssText = `left:${at[i][0] + WIDTH - CORNER}px;top:${at[i][1]}px;width:${CORNER}px;height:${CORNER}px`; });
    svg.replaceChildren();
    edges = nodes.flatMap((node, i) => node.inputs.map((input, k) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      const [x, y] = [at[input][0] + WIDTH / 2, at[input][1] + HEIGHT], [u, v] = [at[i][0] + WIDTH / 2, at[i][1]];
      path.setAttribute("d", `M${x} ${y}C${x} ${y + RISE} ${u} ${v - RISE} ${u} ${v}`);
      svg.append(path);
      return {path, from: input, to: i, k};
    }));
    colour();
  }

  function current() {
    const isBackward = now > nodes.length;
    return [isBackward, isBackward ? backward[now - nodes.length - 1] : now - 1];
  }

  function colour() {
    const [isBackward, at] = current();
    const complete = new Set(isBackward ? backward.slice(0, now - nodes.length) : []);
    boxes.forEach((box, i) => {
      const node = nodes[i], known = isBackward || i < now;
      box.classList.toggle("fb-now", i === at); box.classList.toggle("fb-ahead", !known);
      if (i === at) box.setAttribute("aria-current", "step"); else box.removeAttribute("aria-current");
      box.replaceChildren(make("span", {}, make("b", {}, title(node))),
        make("span", {class: "fb-v"}, known ? brief(node.value, node.shape) : " "),
        make("span", {class: "fb-g"}, complete.has(i) ? (node.gradient.kind === "number" ? `∂ ${node.gradient.text}` : "∂ complete") : " "));
    });
    for (const {path, from, to, k} of edges) {
      path.classList.toggle("fb-value", !isBackward && to === at);
      path.classList.toggle("fb-gradient", isBackward && to === at && Boolean(nodes[to].parts[k]));
    }
  }

  function show(step, said = "") {
    now = Math.min(steps, Math.max(1, step));
    const [isBackward, at] = current();
    slider.value = now;
    colour();
    const half = isBackward ? `backward, ${now - nodes.length} of ${backward.length}` : `forward, ${now} of ${nodes.length}`;
    status.textContent = `${said}Step ${now} of ${steps} (${half}). ${sentence(nodes, at, isBackward)}`;
    slider.setAttribute("aria-valuetext", status.textContent);
    const told = isBackward ? backwardDetail(nodes, at) : forwardDetail(nodes, at);
    detail.replaceChildren(...[...told, blockButton(nodes[at])].filter((part) => part !== ""));
    const top = boxes[at].offsetTop;
    if (top < graph.scrollTop || top + HEIGHT > graph.scrollTop + graph.clientHeight) graph.scrollTop = top - graph.clientHeight / 2;
  }

  function key(event) {
    const to = {ArrowRight: now + 1, ArrowLeft: now - 1, Home: 1, End: steps}[event.key];
    if (to === undefined || event.target === slider || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(input|textarea|select)$/i.test(event.target.tagName ?? "")) return;
    event.preventDefault();
    show(to);
  }

  element.classList.add("flipbook");
  element.replaceChildren(controls, data.folded ? make("p", {class: "fb-note"}, data.folded) : "", make("div", {class: "fb-both"}, graph, detail));
  keys.addEventListener("keydown", key);
  const watcher = new ResizeObserver(layOut);
  watcher.observe(graph);
  build();
  show(start);
  return {show, steps: () => steps, stop() { watcher.disconnect(); keys.removeEventListener("keydown", key); element.replaceChildren(); }};
}
