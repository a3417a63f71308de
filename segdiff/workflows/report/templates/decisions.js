// Accept, doubt, reject: kept in this browser, saved as CSV, read back from it.

const DECISIONS = [
  { value: "accept", key: "a", title: "Accept", done: "accepted", sign: "✓" },
  { value: "doubt", key: "d", title: "Doubt", done: "doubted", sign: "?" },
  { value: "reject", key: "r", title: "Reject", done: "rejected", sign: "✕" },
];
const KEPT = `segdiff-report:${data.id}`;
const decided = new Map(); // row -> {decision, at}
const decisionListeners = [];
let keptHere = true;

function decisionOf(index) {
  const found = decided.get(index);
  return found ? DECISIONS.find((one) => one.value === found.decision) : null;
}

function decide(index, value) {
  const again = decided.has(index) && decided.get(index).decision === value;
  if (again) decided.delete(index);
  else decided.set(index, { decision: value, at: new Date().toISOString() });
  keep();
  const one = decisionOf(index);
  say(`${rows[index].name} ${one ? one.done : "undecided"}, ${plural(decided.size, "decision")} of ${shown(rows.length)}`);
  for (const listener of decisionListeners) listener(index);
}

function keep() {
  const content = {};
  for (const [index, one] of decided) content[rows[index].name] = one;
  keptHere = store.set(KEPT, JSON.stringify(content));
}

function recall() {
  let content = {};
  try { content = JSON.parse(store.get(KEPT) || "{}"); } catch { /* not ours: begin anew */ }
  rows.forEach((row, index) => {
    const one = Object.hasOwn(content, row.name) ? content[row.name] : null;
    if (one && DECISIONS.some((known) => known.value === one.decision)) decided.set(index, one);
  });
}

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function decisionsCsv() {
  const lines = [["name", "image", "decision", "decided_at"]];
  rows.forEach((row, index) => {
    const one = decided.get(index);
    lines.push([row.name, row.image || "", one ? one.decision : "", one ? one.at : ""]);
  });
  return lines.map((cells) => `${cells.map(quoted).join(",")}\r\n`).join("");
}

function saveDecisions() {
  const address = URL.createObjectURL(new Blob([decisionsCsv()], { type: "text/csv;charset=utf-8" }));
  const link = el("a", { href: address, download: "decisions.csv" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  say(`decisions.csv saved: ${plural(decided.size, "decision")}`);
}

function parseCsv(text) {
  const lines = [];
  let cells = [""];
  let inside = false;
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (inside) {
      if (sign !== '"') cells[cells.length - 1] += sign;
      else if (text[at + 1] === '"') { cells[cells.length - 1] += '"'; at += 1; } else inside = false;
    } else if (sign === '"') inside = true;
    else if (sign === ",") cells.push("");
    else if (sign === "\n") { lines.push(cells); cells = [""]; } else if (sign !== "\r") cells[cells.length - 1] += sign;
  }
  if (cells.length > 1 || cells[0]) lines.push(cells);
  return lines;
}

function loadDecisions(text) {
  const [head, ...lines] = parseCsv(text.replace(/^\ufeff/, ""));
  const columns = head || [];
  const [name, decision, at] = ["name", "decision", "decided_at"].map((title) => columns.indexOf(title));
  if (name < 0 || decision < 0) { say("This is not a file of decisions: it has no columns name and decision."); return; }
  const places = new Map(rows.map((row, index) => [row.name, index]));
  let taken = 0;
  for (const cells of lines) {
    const index = places.get(cells[name]);
    if (index === undefined || !DECISIONS.some((one) => one.value === cells[decision])) continue;
    decided.set(index, { decision: cells[decision], at: cells[at] || new Date().toISOString() });
    taken += 1;
  }
  keep();
  for (const listener of decisionListeners) listener(null);
  say(`${plural(taken, "decision")} loaded`);
}

function badge(index) {
  const one = decisionOf(index);
  return one ? el("span", { class: `badge ${one.value}` }, `${one.sign} ${one.done}`) : null;
}
