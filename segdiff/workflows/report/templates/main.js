// The page itself: sections from the data, filters, keys.

const WHICH = [
  ["all", "All pictures", () => true],
  ["todo", "Undecided", (index) => !decided.has(index)],
  ...DECISIONS.map((one) => [one.value, one.done[0].toUpperCase() + one.done.slice(1), (index) => decisionOf(index) === one]),
  ["reasons", "With a reason to look", (index) => rows[index].weight > 0],
  ["failed", "Failed or not done", (index) => rows[index].status !== "done"],
  ["warned", "With warnings", (index) => rows[index].warnings.length > 0],
];
const [FIRST, LEAST_FIRST] = [12, 6]; // pictures with a reason to look at, and filled up to
const MOST_LISTED = 50;
const THEMES = ["auto", "light", "dark"];
let pictureTable;

const everyRow = rows.map((_, index) => index);
const byRank = [...everyRow].sort((a, b) => rows[a].rank - rows[b].rank);
const reasonsOf = (row) => [row.error, ...row.warnings, ...row.reasons].filter(Boolean);
const openButton = (index, attributes = {}) => el("button", {
  type: "button", class: "link", "data-row": index, on: { click: () => openPicture(index) }, ...attributes,
}, rows[index].name);

function showSummary() {
  const failed = rows.filter((row) => row.status === "failed").length;
  const pending = rows.filter((row) => row.status === "pending").length;
  const warned = rows.filter((row) => row.warnings.length).length;
  const objects = rows.reduce((sum, row) => sum + (row.values.objects || 0), 0);
  byId("summary").textContent = [
    plural(rows.length, "picture"),
    failed ? `${shown(failed)} failed` : null,
    pending ? `${shown(pending)} not done` : null,
    warned ? `${shown(warned)} with warnings` : null,
    objects ? plural(objects, "object") : null,
  ].filter(Boolean).join(" · ");
  byId("footer").textContent = `Made by segdiff ${data.version}. Nothing on this page comes from a network. Decisions are kept in this browser until they are saved as CSV.`;
}

function showNotes() {
  byId("notes").hidden = !data.notes.length;
  byId("notes").append(...data.notes.map((note) => el("p", {}, note)));
}

function trouble(kind, title, indices, text) {
  if (!indices.length) return null;
  const entries = indices.slice(0, MOST_LISTED).map((index) => el("li", {}, openButton(index), `: ${text(rows[index])}`));
  const more = indices.length > MOST_LISTED ? el("li", { class: "muted" }, `and ${shown(indices.length - MOST_LISTED)} more, in the table below`) : null;
  const list = el("ul", {}, ...entries, more);
  const head = `${title}: ${shown(indices.length)}`;
  if (entries.length <= 5) return el("div", { class: `alert ${kind}` }, el("h3", {}, head), list);
  return el("details", { class: `alert ${kind}`, open: kind === "failed" }, el("summary", {}, el("b", {}, head)), list);
}

function showTrouble() {
  const of = (test) => byRank.filter((index) => test(rows[index]));
  const lists = [
    trouble("failed", "Failed", of((row) => row.status === "failed"), (row) => row.error || "the record does not say why"),
    trouble("pending", "Not done", of((row) => row.status === "pending"), () => "the run was cut; segdiff predict --resume goes on"),
    trouble("warned", "With warnings", of((row) => row.status === "done" && row.warnings.length), (row) => row.warnings.join("; ")),
  ].filter(Boolean);
  byId("trouble").hidden = !lists.length;
  byId("trouble-lists").append(...lists);
}

function card(index) {
  const row = rows[index];
  const reason = reasonsOf(row)[0] || leastSure(row);
  const picture = thumbnails[index]
    ? el("img", { src: thumbnails[index], alt: "" })
    : el("span", { class: "none" }, row.status === "done" ? "no picture" : row.status);
  return el("li", {}, el("button", { type: "button", class: "card", on: { click: () => openPicture(index) } },
    picture, el("b", { title: row.name }, row.name), el("span", { class: "reason clamped" }, reason)));
}

function leastSure(row) {
  const column = data.columns.find((one) => one.key === data.doubt);
  return column ? `${within(column.title)} ${withUnit(shown(row.values[column.key], column.digits), column.unit)}` : "";
}

function showFirst() {
  if (rows.length < 2 && !data.objects.length) return;
  byId("first").hidden = false;
  const column = data.columns.find((one) => one.key === data.doubt);
  const unlike = "then those with warnings, with empty masks, or unlike the others";
  byId("first-why").textContent = `Failures first, ${unlike}${column ? `; the rest by ${within(column.title)}` : ""}.`;
  const wanting = rows.filter((row) => row.weight > 0).length;
  byId("first-list").append(...byRank.slice(0, Math.min(FIRST, Math.max(LEAST_FIRST, wanting))).map(card));
  byId("objects-first").hidden = !data.objects.length;
  byId("objects-why").textContent = "By the share of chains that have them, then by probability; at most four of a picture. The number is that share, or else the probability.";
  byId("objects-list").append(...data.objects.map((one) => el("li", {}, el("button", {
    type: "button", "aria-label": `Object ${one.number} of ${rows[one.row].name}, ${shown(one.sureness, 2)}`,
    on: { click: () => openPicture(one.row, one.number) },
  }, el("img", { src: one.picture, alt: "" }), shown(one.sureness, 2)))));
}

function showCourse() {
  byId("course").hidden = !data.curves.length && !data.panels.length;
  byId("curves").append(...data.curves.map(lineChart));
  byId("panels").hidden = !data.panels.length;
  if (!data.panels.length) return;
  const slider = byId("panel-step");
  const show = () => {
    const panel = data.panels[Number(slider.value)];
    byId("panel-name").textContent = panel.caption;
    slider.setAttribute("aria-valuetext", panel.caption);
    byId("panel-picture").src = panel.picture;
    byId("panel-picture").alt = `Validation pictures, their truth, probability and uncertainty: ${panel.caption}`;
  };
  slider.max = data.panels.length - 1;
  slider.value = slider.max;
  slider.addEventListener("input", show);
  show();
}

function showMeans() {
  byId("scores").hidden = !data.means.length;
  byId("means").append(...data.means.map((one) => el("tr", {},
    el("th", { scope: "row", class: "plain-head" }, one.title),
    el("td", { class: "number" }, withUnit(shown(one.mean, one.digits), one.unit)),
    el("td", { class: "number" }, one.low === null || one.high === null ? "–" : `${shown(one.low, one.digits)} to ${shown(one.high, one.digits)}`),
    el("td", { class: "number" }, one.undefined ? plural(one.undefined, "picture") : "–"))));
}

function showDistributions() {
  byId("distributions").hidden = !data.histograms.length;
  byId("histograms").append(...data.histograms.map((chart) => histogram(chart)));
}

function pictureColumns() {
  return [
    { key: "rank", title: "First", number: true, className: "hide-narrow", value: (index) => rows[index].rank, cell: (index) => shown(rows[index].rank + 1) },
    { key: "thumb", title: "Picture", cell: (index) => thumbnail(index) },
    { key: "name", title: "Name", className: "name", value: (index) => rows[index].name, cell: (index) => openButton(index) },
    { key: "why", title: "Why look", className: "remark", value: (index) => -rows[index].weight, cell: (index) => remark(index) },
    { key: "decision", title: "Decision", className: "decision", value: (index) => decided.has(index) ? DECISIONS.indexOf(decisionOf(index)) : null, cell: (index) => badge(index) },
    ...data.columns.map((column) => ({
      key: `value-${column.key}`, title: column.unit ? `${column.title} (${column.unit})` : column.title, number: true, down: column.better <= 0,
      value: (index) => rows[index].values[column.key], cell: (index) => shown(rows[index].values[column.key], column.digits),
    })),
  ];
}

function remark(index) {
  const row = rows[index];
  const reasons = reasonsOf(row);
  const state = row.status === "done" ? null : el("span", { class: `badge ${row.status}` }, row.status === "failed" ? "failed" : "not done");
  const text = reasons.slice(0, 2).join("; ") + (reasons.length > 2 ? `; and ${shown(reasons.length - 2)} more` : "");
  return el("span", { class: "clamped" }, state, state && text ? " " : "", text);
}

function showTable() {
  pictureTable = sortedTable({
    caption: "Pictures",
    columns: pictureColumns(),
    items: everyRow,
    sort: { key: "rank", down: false },
    mark(row, index) { row.dataset.row = index; },
  });
  view.order = pictureTable.order;
  byId("table").append(pictureTable.element);
  byId("which").append(...WHICH.map(([value, title]) => el("option", { value }, title)));
  byId("which").addEventListener("change", applyFilter);
  byId("filter").addEventListener("input", applyFilter);
  decisionListeners.push((index) => {
    const drawn = byId("table").querySelectorAll(index === null ? "tr[data-row]" : `tr[data-row="${index}"]`);
    for (const row of drawn) row.querySelector("td.decision").replaceChildren(...[badge(Number(row.dataset.row))].filter(Boolean));
    showProgress();
  });
  applyFilter();
  showProgress();
}

function applyFilter() {
  const text = byId("filter").value.trim().toLowerCase();
  const test = WHICH.find(([value]) => value === byId("which").value)[2];
  const kept = everyRow.filter((index) => test(index) && (!text || rows[index].name.toLowerCase().includes(text)));
  pictureTable.setItems(kept);
  byId("count").textContent = kept.length === rows.length ? "" : `${shown(kept.length)} of ${plural(rows.length, "picture")}`;
}

function showProgress() {
  byId("progress").textContent = `${shown(decided.size)} of ${shown(rows.length)} decided${keptHere ? "" : " (not kept by this browser: save them)"}`;
}

function showSettings() {
  byId("settings").append(...data.settings.map(([key, text]) => el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, text))));
  byId("command").hidden = !data.command;
  byId("command-text").textContent = data.command || "";
  byId("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(data.command);
      say("copied");
      byId("copy").textContent = "Copied";
    } catch { // a page opened as a file may not be allowed to
      getSelection().selectAllChildren(byId("command-text"));
      say("selected: copy it by the keys of your system");
    }
  });
}

function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Colours: ${theme}`;
  store.set("segdiff-report-theme", theme);
}

const KEYS = [
  ["A, D, R", "accept, doubt, reject: the picture in full view, or the row whose name has the focus; again takes it back"],
  ["← →", "previous and next picture in full view"],
  ["M O P U T", "mask, outlines, probability, uncertainty, truth"],
  ["[ ]", "layers weaker, stronger"],
  ["+ − 0", "zoom in, out, fit"],
  ["Shift and arrows", "move the picture"],
  ["J K", "next and previous row of the table"],
  ["/", "to the filter by name"],
  ["Escape", "close"],
  ["?", "this list"],
];

function setUpHelp() {
  byId("help-keys").append(...KEYS.map(([keys, what]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, keys)), el("td", {}, what))));
  byId("keys").addEventListener("click", () => byId("help").showModal());
  byId("help-close").addEventListener("click", () => byId("help").close());
  byId("keys-on").checked = store.get("segdiff-report-keys") !== "off";
  byId("keys-on").addEventListener("change", (event) => store.set("segdiff-report-keys", event.target.checked ? "on" : "off"));
}

function moveRow(by) {
  const order = pictureTable.order();
  const row = document.activeElement && document.activeElement.closest("tr[data-row]");
  const place = row ? order.indexOf(Number(row.dataset.row)) + by : 0;
  const next = order[place] === undefined ? null : pictureTable.reveal(order[place]);
  if (next) next.querySelector("button.link").focus();
}

function viewerKey(key, shift) {
  const layer = LAYERS.find((one) => one.key === key);
  const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
  if (layer) toggle(layer.kind);
  else if (moves[key] && shift) moveBy(...moves[key]);
  else if (key === "ArrowLeft" || key === "k") step(-1);
  else if (key === "ArrowRight" || key === "j") step(1);
  else if (key === "[" || key === "]") setStrength(Number(byId("strength").value) + (key === "[" ? -10 : 10));
  else if (key === "+" || key === "=") zoomBy(1.5);
  else if (key === "-") zoomBy(1 / 1.5);
  else if (key === "0") fitPicture();
  else return false;
  return true;
}

function onKey(event) {
  const target = event.target;
  const typing = target.closest("input, select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open || !byId("keys-on").checked) return;
  if (typing && (typing.type !== "range" || event.key.startsWith("Arrow"))) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const open = byId("viewer").open;
  const row = target.closest("tr[data-row]");
  const index = open ? view.index : row ? Number(row.dataset.row) : null;
  const decision = DECISIONS.find((one) => one.key === key);
  if (decision && index !== null) decide(index, decision.value);
  else if (key === "?") byId("help").showModal();
  else if (open) { if (!viewerKey(key, event.shiftKey)) return; }
  else if (key === "j" || key === "k") moveRow(key === "j" ? 1 : -1);
  else if (key === "/") byId("filter").focus();
  else return;
  event.preventDefault();
}

function openFromAddress() {
  const found = /^#picture=(.*)$/.exec(location.hash);
  if (!found) return;
  let name;
  try { name = decodeURIComponent(found[1]); } catch { return; }
  const index = rows.findIndex((row) => row.name === name);
  if (index >= 0 && index !== view.index) openPicture(index);
}

recall();
setTheme(THEMES.includes(store.get("segdiff-report-theme")) ? store.get("segdiff-report-theme") : "auto");
byId("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme || "auto";
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});
byId("save").addEventListener("click", saveDecisions);
byId("load").addEventListener("click", () => byId("load-file").click());
byId("load-file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (file) loadDecisions(await file.text());
  event.target.value = "";
});
setUpViewer();
setUpHelp();
showSummary();
showNotes();
showTrouble();
showFirst();
showMeans();
showCourse();
showDistributions();
if (rows.length) showTable();
else byId("pictures").hidden = byId("save").hidden = byId("load").hidden = true;
showSettings();
document.addEventListener("keydown", onKey);
window.addEventListener("hashchange", openFromAddress);
openFromAddress();
document.documentElement.dataset.ready = Math.round(performance.now());
