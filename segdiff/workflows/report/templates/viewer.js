// The full view: one picture with its layers, numbers and objects.

const LAYERS = [
  { kind: "mask", key: "m", title: "Mask", soft: true },
  { kind: "outlines", key: "o", title: "Outlines" },
  { kind: "probability", key: "p", title: "Probability", soft: true, map: true },
  { kind: "uncertainty", key: "u", title: "Uncertainty", soft: true, map: true },
  { kind: "truth", key: "t", title: "Truth" },
];
const CLOSEST = 40; // screen pixels a pixel of the layers
const PADDING = 12;

const view = {
  index: null, details: null, addresses: [], on: new Set(["outlines", "truth"]), zoom: 1, fit: 1, x: 0, y: 0,
  table: null, object: null, circle: null, order: () => rows.map((_, index) => index),
};

// Details of a picture lie in the page, after this program, or in a file beside it.

const received = new Map();
const expected = new Map();
window.segdiffReport = {
  receive(report, index, details) {
    const waiting = expected.get(index);
    if (report !== data.id) { if (waiting) waiting.reject(new Error("other")); return; }
    remember(index, details);
    if (waiting) waiting.resolve(details);
  },
};

function remember(index, details) {
  received.set(index, details);
  if (received.size > 6) received.delete(received.keys().next().value);
}

async function detailsOf(index) {
  if (received.has(index)) return received.get(index);
  if (!data.files) {
    if (!byId(`details-${index}`) && document.readyState === "loading") {
      await new Promise((resolve) => document.addEventListener("DOMContentLoaded", resolve, { once: true }));
    }
    const element = byId(`details-${index}`);
    if (!element) throw new Error("gone");
    const details = JSON.parse(element.textContent);
    remember(index, details);
    return details;
  }
  const name = `${String(index).padStart(5, "0")}.js`;
  let script;
  try {
    return await new Promise((resolve, reject) => {
      expected.set(index, { resolve, reject });
      script = el("script", { src: `${encodeURIComponent(data.files)}/${name}`, on: { error: () => reject(new Error("gone")) } });
      document.head.append(script);
    });
  } finally {
    expected.delete(index);
    if (script) script.remove();
  }
}

function blobAddress(dataUrl) {
  const [head, body] = dataUrl.split(",");
  const bytes = Uint8Array.from(atob(body), (sign) => sign.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], { type: head.slice(5, head.indexOf(";")) }));
  view.addresses.push(address);
  return address;
}

async function openPicture(index, object = null) {
  view.index = index;
  view.details = null;
  view.object = view.circle = null;
  if (!byId("viewer").open) byId("viewer").showModal();
  const hash = `#picture=${encodeURIComponent(rows[index].name)}`;
  if (location.hash !== hash) history.replaceState(null, "", hash);
  showRow(index);
  let details = null;
  try {
    if (rows[index].status === "done") details = await detailsOf(index);
  } catch (error) {
    if (view.index === index) {
      message(error.message === "other"
        ? `The folder ${data.files} belongs to another report.`
        : `The folder ${data.files || ""} that holds this picture's full view is not beside this page: copy both.`);
    }
  }
  if (view.index !== index || !details) return;
  view.details = details;
  if (rows[index].size) showLayers(details.layers);
  showObjects(details.objects);
  if (object !== null) showObject(object);
  const order = view.order();
  const next = order[order.indexOf(index) + 1];
  if (next !== undefined && rows[next].status === "done") detailsOf(next).catch(() => {}); // what is likely seen next
}

function closeViewer() {
  byId("viewer").close();
}

function onClosed() {
  history.replaceState(null, "", location.pathname + location.search);
  for (const address of view.addresses.splice(0)) URL.revokeObjectURL(address);
  byId("canvas").replaceChildren();
  view.circle = null;
  const cell = pictureTable.reveal(view.index);
  if (cell) cell.querySelector("button.link").focus();
  view.index = null;
}

function message(text) {
  const place = byId("stage-message");
  place.hidden = !text;
  place.textContent = text || "";
}

function showRow(index) {
  const row = rows[index];
  const order = view.order();
  const place = order.indexOf(index);
  byId("viewer-name").textContent = row.name;
  byId("viewer-place").textContent = `${place < 0 ? "not in the table as filtered" : `${shown(place + 1)} of ${shown(order.length)}`}`;
  byId("previous").disabled = place <= 0;
  byId("next").disabled = place < 0 || place >= order.length - 1;
  message(row.status === "failed" ? "This picture failed." : row.status === "pending" ? "This picture was not done: the run was cut." : row.size ? "" : "There is no picture to show.");
  for (const address of view.addresses.splice(0)) URL.revokeObjectURL(address);
  byId("canvas").replaceChildren();
  byId("marker").hidden = true;
  byId("viewer-objects").replaceChildren();
  byId("viewer-histograms").replaceChildren();
  showDecision();
  const remarks = [row.error, ...row.warnings, ...row.reasons].filter(Boolean);
  byId("viewer-remarks").replaceChildren(...remarks.map((text) => el("li", { class: text === row.error ? "failed" : null }, text)));
  const values = data.columns.map((column) => [column.title, withUnit(shown(row.values[column.key], column.digits), column.unit)]);
  const facts = Object.entries(row.facts).map(([name, text]) => [name[0].toUpperCase() + name.slice(1), text]);
  byId("viewer-values").replaceChildren(...[...values, ...facts].filter(([, text]) => text && text !== "–")
    .map(([title, text]) => el("div", {}, el("dt", {}, title), el("dd", {}, text))));
  byId("viewer-path").textContent = row.image || "";
  byId("viewer-files").replaceChildren(...(row.files.length ? ["Files: "] : []), ...row.files.flatMap(([kind, address], number) => [
    number ? ", " : "", el("a", { href: address, target: "_blank", rel: "noopener" }, kind)]));
  for (const layer of LAYERS) layerButton(layer).disabled = true;
  showLegends();
}

function showDecision() {
  if (view.index === null) return;
  const one = decisionOf(view.index);
  for (const button of byId("decide").children) button.setAttribute("aria-pressed", String(Boolean(one) && one.value === button.value));
}

const layerButton = (layer) => byId("layers").querySelector(`[value="${layer.kind}"]`);

function showLayers(layers) {
  const [width, height] = rows[view.index].size;
  const canvas = byId("canvas");
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const addresses = Object.fromEntries(Object.entries(layers).map(([kind, address]) => [kind, blobAddress(address)]));
  const pictures = ["picture", "probability", "uncertainty", "mask", "outlines", "truth"].filter((kind) => addresses[kind]);
  canvas.replaceChildren(...pictures.map((kind) => {
    const layer = LAYERS.find((one) => one.kind === kind);
    const alt = kind === "picture" ? describe(view.index) : "";
    return el("img", { src: addresses[kind], alt, "data-kind": kind, class: layer && layer.soft ? "soft" : null, draggable: "false" });
  }));
  const side = byId("viewer-objects");
  side.style.setProperty("--picture", addresses.picture ? `url("${addresses.picture}")` : "none");
  side.style.setProperty("--outlines", addresses.outlines ? `url("${addresses.outlines}")` : "none");
  for (const layer of LAYERS) layerButton(layer).disabled = !addresses[layer.kind];
  if (rows[view.index].scale < 1) message(`Shown at ${shown(100 * rows[view.index].scale)} % of its size.`);
  showToggles();
  fitPicture();
}

function describe(index) {
  const told = data.columns.map((column) => [column.title, shown(rows[index].values[column.key], column.digits)]);
  return `${rows[index].name}: ${told.map(([title, text]) => `${title} ${text}`).join(", ")}`;
}

function toggle(kind) {
  const layer = LAYERS.find((one) => one.kind === kind);
  if (layerButton(layer).disabled) return;
  if (view.on.has(kind)) view.on.delete(kind);
  else {
    if (layer.map) for (const other of LAYERS) if (other.map) view.on.delete(other.kind); // one hides the other
    view.on.add(kind);
  }
  showToggles();
  say(`${layer.title} ${view.on.has(kind) ? "shown" : "hidden"}`);
}

function showToggles() {
  for (const layer of LAYERS) {
    layerButton(layer).setAttribute("aria-pressed", String(view.on.has(layer.kind)));
    const picture = byId("canvas").querySelector(`[data-kind="${layer.kind}"]`);
    if (picture) picture.hidden = !view.on.has(layer.kind);
  }
  showLegends();
}

function showLegends() {
  for (const layer of LAYERS.filter((one) => one.map)) {
    byId(`legend-${layer.kind}`).hidden = !(view.on.has(layer.kind) && !layerButton(layer).disabled);
  }
}

function setStrength(percent) {
  const value = Math.min(100, Math.max(0, percent));
  byId("strength").value = value;
  byId("strength-value").textContent = `${value} %`;
  byId("canvas").style.setProperty("--strength", value / 100);
}

// Zoom and place of the picture.

function place() {
  const canvas = byId("canvas");
  canvas.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.zoom})`;
  canvas.classList.toggle("close", view.zoom >= 2);
  const marker = byId("marker");
  marker.hidden = !view.circle;
  if (!view.circle) return;
  const { x, y, radius } = view.circle;
  marker.style.left = `${view.x + (x - radius) * view.zoom}px`;
  marker.style.top = `${view.y + (y - radius) * view.zoom}px`;
  marker.style.width = marker.style.height = `${2 * radius * view.zoom}px`;
}

function fitPicture() {
  if (view.index === null || !rows[view.index].size) return;
  const [width, height] = rows[view.index].size;
  const stage = byId("stage");
  const room = [stage.clientWidth - 2 * PADDING, stage.clientHeight - 2 * PADDING];
  view.fit = Math.max(0.02, Math.min(room[0] / width, room[1] / height));
  view.zoom = view.fit;
  view.x = (stage.clientWidth - width * view.zoom) / 2;
  view.y = (stage.clientHeight - height * view.zoom) / 2;
  place();
}

function zoomBy(factor, at = null) {
  const stage = byId("stage");
  const [x, y] = at || [stage.clientWidth / 2, stage.clientHeight / 2];
  const zoom = Math.min(CLOSEST, Math.max(view.fit / 2, view.zoom * factor));
  view.x = x - ((x - view.x) * zoom) / view.zoom;
  view.y = y - ((y - view.y) * zoom) / view.zoom;
  view.zoom = zoom;
  place();
}

function moveBy(x, y) {
  view.x += x;
  view.y += y;
  place();
}

function lookAt(x, y, across) {
  const stage = byId("stage");
  view.zoom = Math.min(CLOSEST, Math.max(view.fit, Math.min(stage.clientWidth, stage.clientHeight) / across));
  view.x = stage.clientWidth / 2 - x * view.zoom;
  view.y = stage.clientHeight / 2 - y * view.zoom;
  place();
}

// Objects of the picture.

const OBJECT_TITLES = { id: "Number", x: "x", y: "y", area: "Area", probability: "Prob.", uncertainty: "Uncert.", confidence: "Conf.", x_um: "x (µm)", y_um: "y (µm)", area_um2: "Area (µm²)" };
const OBJECT_DIGITS = { area: 0, probability: 2, uncertainty: 3, confidence: 2, area_um2: 1, x: 0, y: 0 };

function objectColumns(objects) {
  const numbers = Object.keys(objects).filter((name) => name !== "id");
  const sure = ["confidence", "probability", "area", "area_um2", "uncertainty"].filter((name) => numbers.includes(name));
  const rest = numbers.filter((name) => !sure.includes(name) && !["x_um", "y_um"].includes(name));
  return [
    ...(objects.x && objects.y && rows[view.index].size ? [{ key: "crop", title: "Crop", cell: (at) => crop(objects, at) }] : []),
    { key: "id", title: OBJECT_TITLES.id, value: (at) => objects.id[at], number: true,
      cell: (at) => el("button", { type: "button", class: "link", "aria-label": `Show object ${objects.id[at]}`, on: { click: () => showObject(objects.id[at]) } }, shown(objects.id[at])) },
    ...[...sure, ...rest].map((name) => ({
      key: name, title: OBJECT_TITLES[name] || name, number: true, down: name === "area" || name === "uncertainty",
      value: (at) => objects[name][at], cell: (at) => shown(objects[name][at], OBJECT_DIGITS[name] ?? 2),
    })),
  ];
}

function showObjects(objects) {
  const side = byId("viewer-objects");
  side.replaceChildren();
  view.table = null;
  if (!objects.id) return;
  for (const chart of data.histograms) {
    const values = (objects[chart.key] || []).filter((value) => value !== null);
    if (values.length > 1) byId("viewer-histograms").append(histogram(chart, values));
  }
  const items = objects.id.map((_, at) => at);
  const first = ["confidence", "probability", "id"].find((name) => objects[name]);
  view.table = sortedTable({
    caption: `Objects of ${rows[view.index].name}`,
    columns: objectColumns(objects),
    items,
    sort: { key: first, down: false },
    mark(row, at) { row.classList.toggle("chosen", objects.id[at] === view.object); row.dataset.object = objects.id[at]; },
  });
  side.append(el("h3", {}, plural(items.length, "object")), view.table.element);
}

function extent(objects, at) {
  const area = objects.area ? objects.area[at] : null;
  return Math.sqrt((area || 200) / Math.PI) * rows[view.index].scale;
}

function crop(objects, at) {
  const [x, y] = [objects.x[at], objects.y[at]];
  const square = el("div", { class: "crop" });
  if (x === null || y === null) return square;
  const { scale, size } = rows[view.index];
  const zoom = 44 / Math.max(12, 4 * extent(objects, at));
  square.style.backgroundSize = `${size[0] * zoom}px ${size[1] * zoom}px`;
  square.style.backgroundPosition = `${22 - x * scale * zoom}px ${22 - y * scale * zoom}px`;
  return square;
}

function showObject(number) {
  const { objects } = view.details;
  const at = objects.id ? objects.id.indexOf(number) : -1;
  if (at < 0) return;
  view.object = number;
  for (const row of byId("viewer-objects").querySelectorAll("tr.chosen")) row.classList.remove("chosen");
  const row = view.table.reveal(at);
  if (row) { row.classList.add("chosen"); row.scrollIntoView({ block: "nearest" }); }
  if (!rows[view.index].size || !objects.x || !objects.y || objects.x[at] === null || objects.y[at] === null) return;
  const { scale } = rows[view.index];
  const radius = 1.6 * extent(objects, at) + 2;
  const [x, y] = [objects.x[at] * scale, objects.y[at] * scale];
  view.circle = { x, y, radius };
  lookAt(x, y, 10 * radius);
  say(`object ${number}`);
}

// A click chooses the object whose middle is nearest, if it is near.
function chooseAt(x, y) {
  const objects = view.details && view.details.objects;
  if (!objects || !objects.x || !objects.y) return;
  const { scale } = rows[view.index];
  let [best, least] = [-1, Infinity];
  objects.id.forEach((_, at) => {
    const distance = Math.hypot(objects.x[at] * scale - x, objects.y[at] * scale - y) / (1.5 * extent(objects, at) + 2);
    if (distance < least) [best, least] = [at, distance];
  });
  if (least <= 1) showObject(objects.id[best]);
}

function step(by) {
  const order = view.order();
  const place = order.indexOf(view.index);
  const next = place < 0 ? undefined : order[place + by];
  if (next !== undefined) openPicture(next);
}

function setUpStage() {
  const stage = byId("stage");
  const pointers = new Map();
  let moved = 0;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
    stage.classList.add("moving");
  });
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    if (pointers.size === 1) moveBy(now[0] - before[0], now[1] - before[1]);
    else {
      const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      const box = stage.getBoundingClientRect();
      zoomBy(apart(now) / apart(before), [other[0] - box.left, other[1] - box.top]);
    }
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    pointers.set(event.pointerId, now);
  });
  const lift = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    stage.classList.toggle("moving", pointers.size > 0);
    if (event.type !== "pointerup" || moved > 4) return;
    const box = stage.getBoundingClientRect();
    chooseAt((event.clientX - box.left - view.x) / view.zoom, (event.clientY - box.top - view.y) / view.zoom);
  };
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoomBy(Math.exp(-event.deltaY / 400), [event.clientX - box.left, event.clientY - box.top]);
  }, { passive: false });
  new ResizeObserver(() => { if (view.details) fitPicture(); }).observe(stage);
}

function setUpViewer() {
  byId("decide").append(...DECISIONS.map((one) => el("button", {
    type: "button", value: one.value, "aria-pressed": "false", on: { click: () => decide(view.index, one.value) },
  }, `${one.sign} ${one.title} `, el("kbd", {}, one.key.toUpperCase()))));
  byId("layers").append(...LAYERS.map((layer) => el("button", {
    type: "button", value: layer.kind, "aria-pressed": "false", on: { click: () => toggle(layer.kind) },
  }, el("span", { class: `swatch ${layer.kind}` }), `${layer.title} `, el("kbd", {}, layer.key.toUpperCase()))));
  if (!rows.some((row) => row.truth)) layerButton(LAYERS[4]).hidden = true;
  for (const ramp of document.querySelectorAll(".legend")) {
    ramp.querySelector(".ramp").style.background = `linear-gradient(90deg, ${ramp.dataset.colours.replaceAll(";", ", ")})`;
  }
  byId("strength").addEventListener("input", (event) => setStrength(Number(event.target.value)));
  setStrength(60);
  const click = (id, call) => byId(id).addEventListener("click", call);
  click("previous", () => step(-1));
  click("next", () => step(1));
  click("close", closeViewer);
  click("zoom-in", () => zoomBy(1.5));
  click("zoom-out", () => zoomBy(1 / 1.5));
  click("zoom-fit", fitPicture);
  byId("viewer").addEventListener("close", onClosed);
  decisionListeners.push(showDecision);
  setUpStage();
}
