/** Elements without HTML texts: every child that is a string becomes a text node, so no value is ever run. */

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "rect", "text", "line", "path", "circle"]);

/**
 * Build an element. A property that begins with "on" is a listener, true an empty attribute, null and false nothing.
 * @template {keyof Tags} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {...Child} children
 * @returns {Tags[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  const create = () => (SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag));
  const element = /** @type {any} */ (create());
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name !== "value") element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  if ("value" in properties) element.value = properties.value ?? "";
  return element;
}

/**
 * Replace all children of an element.
 * @template {Element} E
 * @param {E} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** @param {Element} element @param {any[]} children */
function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

let lastId = 0;

/** Return an id that no other element has, for labels and descriptions. */
export function newId(prefix = "e") {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/**
 * Say a sentence to a screen reader, without moving the focus.
 * @param {string} sentence
 */
export function announce(sentence) {
  const region = document.getElementById("announcer");
  if (region) region.textContent = sentence;
}
