// Histograms and lines as SVG, each with its content in words.

const LARGE = { width: 340, height: 150, left: 36, right: 10, top: 8, bottom: 22 };
const SMALL = { width: 190, height: 96, left: 6, right: 10, top: 6, bottom: 20 };

function frame(label, { width, height }) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

function axis(drawing, { left, right, top, bottom, width, height }) {
  const ground = height - bottom;
  drawing.append(svg("path", { class: "axis", d: `M${left} ${top}V${ground}H${width - right}`, fill: "none" }));
}

function ticks(drawing, { left, right, bottom, width, height }, places, horizontal) {
  for (const [at, text] of places) {
    if (horizontal) {
      const anchor = at > width - right - 14 ? "end" : at < left + 6 ? "start" : "middle";
      drawing.append(svg("text", { x: at, y: height - bottom + 15, "text-anchor": anchor }, text));
    } else {
      drawing.append(svg("text", { x: left - 5, y: at + 4, "text-anchor": "end" }, text));
    }
  }
}

// Decimals that tell numbers of this step apart.
function decimals(step) {
  for (let digits = 0; digits < 6; digits += 1) {
    if (Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) < 1e-6) return digits;
  }
  return 6;
}

// chart: as histograms.py makes it; own: values of one picture, drawn before those of all.
function histogram(chart, own = null) {
  const form = own ? SMALL : LARGE;
  const { left, right, top, bottom, width, height } = form;
  const { edges } = chart;
  const counts = chart.more ? [...chart.counts, chart.more] : chart.counts;
  const ownCounts = own && countInto(own, chart);
  const digits = Math.max(decimals(edges[1] - edges[0]), decimals(edges[0]));
  const centred = edges[0] < 0 && edges[edges.length - 1] > 1; // bins around shares of chains
  const inner = width - left - right;
  const step = inner / counts.length;
  const highest = Math.max(1, ...counts);
  const ownHighest = ownCounts && Math.max(1, ...ownCounts);
  const about = ownCounts ? own.length : chart.n;
  const median = ownCounts ? middle(own) : chart.median;
  const words = `${chart.title}: ${plural(about, "value")}, median ${withUnit(shown(median, chart.digits), chart.unit)}`;
  const drawing = frame(words, form);
  const bars = (values, most, kind) => values.forEach((count, bin) => {
    if (!count) return;
    const tall = (count / most) * (height - top - bottom);
    const bar = svg("rect", { class: kind, x: left + bin * step + 0.5, y: height - bottom - tall, width: Math.max(1, step - 1), height: tall });
    bar.append(svg("title", {}, `${binName(chart, bin, digits, centred)}: ${shown(count)}`));
    drawing.append(bar);
  });
  bars(counts, highest, ownCounts ? "bar all" : "bar");
  if (ownCounts) bars(ownCounts, ownHighest, "bar");
  axis(drawing, form);
  const span = edges[edges.length - 1] - edges[0];
  const place = (value) => left + ((value - edges[0]) / span) * step * chart.counts.length;
  if (median !== null && median <= edges[edges.length - 1]) {
    drawing.append(svg("path", { class: "median", d: `M${place(median)} ${top}V${height - bottom}` }));
  }
  const parts = ownCounts ? 2 : 4;
  const marks = centred ? [0, 0.5, 1] : Array.from({ length: parts + 1 }, (_, part) => edges[0] + (span * part) / parts);
  const markText = (mark) => shown(mark, Math.min(2, decimals(Number(mark.toPrecision(6)))));
  ticks(drawing, form, marks.map((mark) => [place(mark), markText(mark)]), true);
  if (!ownCounts) ticks(drawing, form, [[top + 4, shown(highest)], [height - bottom, "0"]], false);
  const note = chart.more && !ownCounts ? `; the last bar: ${shown(chart.more)} beyond` : "";
  return el("figure", {}, el("figcaption", {},
    el("b", {}, ownCounts ? chart.title.replace(" of objects", " here") : chart.title), chart.unit ? ` in ${chart.unit}` : "",
    el("span", { class: "muted" }, ` · median ${shown(median, chart.digits)} of ${shown(about)}${note}`)), drawing);
}

function binName(chart, bin, digits, centred) {
  if (bin >= chart.counts.length) return `more than ${shown(chart.edges[bin], digits)}`;
  if (centred) return shown((chart.edges[bin] + chart.edges[bin + 1]) / 2, 3);
  return `${shown(chart.edges[bin], digits)} to ${shown(chart.edges[bin + 1], digits)}`;
}

function countInto(values, chart) {
  const { edges } = chart;
  const counts = new Array(chart.counts.length + (chart.more ? 1 : 0)).fill(0);
  const width = edges[1] - edges[0];
  for (const value of values) {
    const last = edges[edges.length - 1];
    const bin = value > last ? chart.counts.length : Math.min(chart.counts.length - 1, Math.floor((value - edges[0]) / width + 1e-9));
    if (bin >= 0 && bin < counts.length) counts[bin] += 1;
  }
  return counts;
}

function middle(values) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

// chart: as training.py makes it.
function lineChart(chart) {
  const { left, right, top, bottom, width, height } = LARGE;
  const points = chart.lines.flatMap((line) => line.points);
  const scale = chart.log ? Math.log10 : (value) => value;
  const steps = points.map(([step]) => step);
  const values = points.map(([, value]) => scale(value));
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const low = chart.log ? Math.min(...values) : Math.min(0, ...values);
  const high = chart.log ? Math.max(...values) : Math.max(...values, low + 1e-9);
  const x = (step) => left + ((step - first) / (last - first || 1)) * (width - left - right);
  const y = (value) => height - bottom - ((scale(value) - low) / (high - low || 1)) * (height - top - bottom);
  const told = chart.lines.map((line) => {
    const [step, value] = line.points[line.points.length - 1];
    return `${line.name} ${shown(value, 4)} at step ${shown(step)}`;
  });
  const drawing = frame(`${chart.title}: ${told.join(", ")}`, LARGE);
  axis(drawing, LARGE);
  chart.lines.forEach((line, number) => {
    const second = number ? " second" : "";
    const path = line.points.map(([step, value], index) => `${index ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`);
    drawing.append(svg("path", { class: `line${second}`, d: path.join("") }));
    if (line.points.length > 60) return;
    for (const [step, value] of line.points) {
      const dot = svg("circle", { class: `dot${second}`, cx: x(step), cy: y(value), r: 3 });
      dot.append(svg("title", {}, `${line.name} at step ${shown(step)}: ${shown(value, 4)}`));
      drawing.append(dot);
    }
  });
  const back = chart.log ? (value) => 10 ** value : (value) => value;
  ticks(drawing, LARGE, [[top + 4, shown(back(high), 2)], [height - bottom, shown(back(low), 2)]], false);
  ticks(drawing, LARGE, [[x(first), shown(first)], [x(last), `step ${shown(last)}`]], true);
  const legend = chart.lines.map((line, number) => `${line.name}${chart.lines.length > 1 ? (number ? " (dashed)" : "") : ""}`);
  return el("figure", {}, el("figcaption", {}, el("b", {}, chart.title), chart.log ? " (logarithmic)" : "",
    el("span", { class: "muted" }, ` · ${legend.join(", ")} · last: ${told.join(", ")}`)), drawing);
}
