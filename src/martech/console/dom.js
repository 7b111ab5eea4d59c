// Elements are made of text and attributes, never of markup: what people wrote stays text.
const SVG = "http://www.w3.org/2000/svg";

export const h = (name, attributes, ...children) =>
  dress(document.createElement(name), attributes, children);

export const s = (name, attributes, ...children) =>
  dress(document.createElementNS(SVG, name), attributes, children);

function dress(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const at = (id) => document.getElementById(id);

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

// Writes only what changed: a selection and a screen reader's place survive.
export function say(node, words) {
  const told = String(words);
  if (node.textContent !== told) node.textContent = told;
}

export function set(node, name, value) {
  const told = String(value);
  if (node.getAttribute(name) !== told) node.setAttribute(name, told);
}

// How long a bar is, for the stylesheet to draw.
export function size(node, share) {
  const told = `${(Math.max(0, Math.min(1, share || 0)) * 100).toFixed(2)}%`;
  if (node.style.getPropertyValue("--size") === told) return;
  node.style.setProperty("--size", told);
  node.style.setProperty("--least", share > 0 ? "2px" : "0"); // little is to be seen, nothing is not
}

// The children of `list` are those of `items`, in their order; who stays keeps its node.
// `make(item)` returns a node, `update(node, item)` writes into it.
export function keep(list, items, key, make, update) {
  const there = new Map([...list.children].map((node) => [node.dataset.key, node]));
  items.forEach((item, index) => {
    const name = String(key(item));
    let node = there.get(name);
    if (node) there.delete(name);
    else {
      node = make(item);
      node.dataset.key = name;
    }
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
    update(node, item);
  });
  for (const node of there.values()) node.remove();
}
