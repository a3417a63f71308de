// What all parts of the page use: the data, elements, numbers, what is kept from one visit to the next.
// Text from files is only ever set as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const thumbnails = JSON.parse(document.getElementById("thumbnails").textContent);
const rows = data.rows;
const byId = (id) => document.getElementById(id);

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on") for (const [event, call] of Object.entries(value)) element.addEventListener(event, call);
    else if (key === "style") for (const [name, text] of Object.entries(value)) element.style.setProperty(name, text);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function shown(value, digits = 0) {
  if (value === null || value === undefined) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const withUnit = (text, unit) => (unit && text !== "–" ? `${text} ${unit}` : text);
// A title within a sentence: "Confidence" begins small, "IoU" stays as it is.
const within = (title) => (/^[A-Z][a-z ]/.test(title) ? title[0].toLowerCase() + title.slice(1) : title);
const plural = (count, one, many) => `${shown(count)} ${count === 1 ? one : many || `${one}s`}`;

// A browser may refuse to keep anything (private windows, settings): the page works all the same.
const store = {
  get(key) {
    try { return localStorage.getItem(key); } catch { return null; }
  },
  set(key, text) {
    try { localStorage.setItem(key, text); return true; } catch { return false; }
  },
};

function say(text) {
  const place = byId("viewer").open ? byId("viewer-said") : byId("said");
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
}

function thumbnail(index, attributes) {
  const address = thumbnails[index];
  if (!address) return el("span", { class: "none thumb", ...attributes }, rows[index].status === "failed" ? "failed" : "no picture");
  return el("img", { src: address, alt: "", decoding: "async", class: "thumb", ...attributes });
}
