"use strict";
// Formats and charts. Text reaches the page as text only, never as markup.

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const clockSeconds = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

const rate = (n) => (n > 0 && n < 100 ? tenths : whole).format(n);

function seconds(s) {
  if (s < 0) return "–";
  if (s < 0.001) return whole.format(s * 1e6) + " µs";
  if (s < 1) return (s < 0.01 ? tenths : whole).format(s * 1e3) + " ms";
  return s < 100 ? tenths.format(s) + " s" : span(s * 1e3);
}

function span(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 100) return whole.format(s) + " s";
  if (s < 100 * 60) return whole.format(s / 60) + " min";
  if (s < 48 * 3600) return whole.format(s / 3600) + " h";
  return whole.format(s / 86400) + " days";
}

function bytes(n) {
  if (n < 1 << 20) return whole.format(n / 1024) + " KiB";
  return n < 10 * (1 << 30) ? whole.format(n / (1 << 20)) + " MiB" : tenths.format(n / (1 << 30)) + " GiB";
}

function make(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

// setText leaves alone what is so already: a selection survives, and nothing is read out anew.
function setText(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// rows keeps one element an item, in the order of the items. Elements are used again, so that a button
// keeps the focus while the figures around it change.
function rows(parent, items, keyOf, create, fill) {
  const held = new Map([...parent.children].map((e) => [e.dataset.key, e]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let e = held.get(key);
    if (e) held.delete(key);
    else {
      e = create(item);
      e.dataset.key = key;
    }
    fill(e, item);
    if (e === at) at = at.nextElementSibling;
    else parent.insertBefore(e, at);
  }
  for (const e of held.values()) e.remove();
}

// tableRow makes a row whose cells name their columns, for when there is no room for columns.
function tableRow(table, classes) {
  const tr = make("tr");
  [...table.tHead.rows[0].cells].forEach((th, i) => {
    const td = make("td", undefined, classes[i]);
    td.dataset.label = th.textContent;
    tr.append(td);
  });
  return tr;
}

function svg(tag, attributes) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

const levels = [
  ["l1", "memory"], ["peer", "owner gateway"], ["redis", "Redis"], ["cache", "cache role"], ["origin", "the shop"], ["none", "nobody"],
];

const charts = [
  { id: "requests", title: "Requests a second, by level", stack: levels.map(([l, label]) => ["requests." + l, "c-" + l, label]), format: rate },
  { id: "share", title: "Hit ratio, by level", share: true, stack: levels.map(([l, label]) => ["requests." + l, "c-" + l, label]), format: (v) => percent.format(v) },
  { id: "latency", title: "Time in the gateway", lines: [["latency.p99", "s-redis", "99 %", "c-redis"], ["latency.p50", "s-l1", "half", "c-l1"]], format: seconds },
  { id: "invalidation", title: "Change reaches the gateways", lines: [["invalidation.p99", "s-redis", "99 %", "c-redis"]], format: seconds },
  { id: "change", title: "Change message to its effect", lines: [["change.p99", "s-redis", "99 %", "c-redis"], ["staleness.p99", "s-origin", "staleness found", "c-origin"]], format: seconds },
  { id: "failed", title: "Pulls from the shop, and failures", lines: [["pulls", "s-origin", "pulls a second", "c-origin"], ["failed", "s-page", "failed a second", "c-page"]], format: rate },
];

function buildChart(chart) {
  const figure = make("figure"), caption = make("figcaption");
  caption.append(make("b", chart.title), make("output"));
  const drawing = svg("svg", { class: "chart", role: "img" });
  const legend = make("ul", undefined, "legend");
  for (const [, swatch, label, ofLine] of chart.stack || chart.lines) {
    const li = make("li"), i = make("i", undefined, ofLine || swatch);
    li.append(i, label);
    legend.append(li);
  }
  figure.append(caption, drawing, legend);
  chart.figure = figure;
  drawing.addEventListener("pointermove", (e) => { chart.at = e.offsetX; drawChart(chart); });
  drawing.addEventListener("pointerleave", () => { chart.at = undefined; drawChart(chart); });
  return figure;
}

// nice is the least round number that is not below v.
function nice(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= v * 0.999);
}

function drawChart(chart, series) {
  chart.series = series = series || chart.series;
  if (!series) return;
  const drawing = chart.figure.querySelector("svg"), width = Math.max(120, drawing.clientWidth), height = drawing.clientHeight || 112;
  const bottom = height - 16, top = 14;
  drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const parts = chart.stack || chart.lines, lines = parts.map(([name]) => series.lines[name] || []), n = lines[0].length;
  const x = (i) => (i * width) / (n - 1);
  const totals = lines[0].map((_, i) => lines.reduce((sum, l) => sum + Math.max(0, l[i]), 0));
  const highest = chart.share ? 1 : Math.max(...(chart.stack ? totals : lines.flat()), 0);
  const most = highest > 0 ? nice(highest) : 1;
  const y = (v) => bottom - ((bottom - top) * v) / most;
  const content = [];
  for (const v of [0, most / 2, most]) content.push(svg("line", { class: "grid", x1: 0, x2: width, y1: y(v), y2: y(v) }));
  if (chart.stack) content.push(...stacked(lines, parts, chart.share && totals, x, y));
  else lines.forEach((l, k) => content.push(...lined(l, parts[k][1], x, y)));
  const label = (text, at, anchor, h) => {
    const t = svg("text", { x: at, y: h, "text-anchor": anchor });
    t.textContent = text;
    content.push(t);
  };
  if (highest > 0) label(chart.format(most), 0, "start", top - 3);
  const time = (i) => clock.format(series.from + i * series.step);
  label(time(0), 0, "start", height - 3);
  label(time(Math.round((n - 1) / 2)), width / 2, "middle", height - 3);
  label(time(n - 1), width, "end", height - 3);

  let i = chart.at === undefined ? n - 1 : Math.max(0, Math.min(n - 1, Math.round((chart.at / width) * (n - 1))));
  if (chart.at !== undefined) content.push(svg("line", { class: "cursor", x1: x(i), x2: x(i), y1: top, y2: bottom }));
  else while (i > n - 4 && lines.every((l) => l[i] < 0)) i--; // the newest may not be in yet
  const value = (k, at) => (lines[k][at] < 0 ? "–" : chart.share ? chart.format(totals[at] ? lines[k][at] / totals[at] : 0) : chart.format(lines[k][at]));
  const shown = chart.share ? `${value(0, i)} from memory` : chart.stack ? (lines[0][i] < 0 ? "–" : chart.format(totals[i])) : parts.map(([, , name], k) => `${name}: ${value(k, i)}`).join(", ");
  setText(chart.figure.querySelector("output"), chart.at === undefined ? shown : `${clockSeconds.format(series.from + i * series.step)}  ${shown}`);
  drawing.replaceChildren(...content);
  drawing.setAttribute("aria-label", `${chart.title}, the last quarter of an hour. Now: ${parts.map(([, , name], k) => `${name} ${value(k, i)}`).join(", ")}. Highest: ${chart.format(highest)}.`);
}

// stacked draws areas upon each other; with totals, as shares of them.
function stacked(lines, parts, totals, x, y) {
  const base = lines[0].map(() => 0), runs = [], half = (x(1) - x(0)) / 2;
  lines[0].forEach((v, i) => {
    if (v < 0) return;
    if (i && lines[0][i - 1] >= 0) runs[runs.length - 1].push(i);
    else runs.push([i]);
  });
  return lines.flatMap((l, k) => {
    const lower = [...base];
    l.forEach((v, i) => { base[i] += totals ? (totals[i] ? Math.max(0, v) / totals[i] : 0) : Math.max(0, v); });
    if (!l.some((v) => v > 0)) return [];
    const at = (edge, run) => [[x(run[0]) - half, run[0]], ...run.map((i) => [x(i), i]), [x(run[run.length - 1]) + half, run[run.length - 1]]]
      .map(([px, i]) => `${Math.max(0, px).toFixed(1)},${y(edge[i]).toFixed(1)}`);
    return runs.map((run) => svg("polygon", { class: parts[k][1], points: [...at(base, run), ...at(lower, run).reverse()].join(" ") }));
  });
}

// lined draws a line with gaps where nothing is known; a value alone is a dot.
function lined(values, className, x, y) {
  const content = [];
  let run = [];
  const end = () => {
    if (run.length === 1) {
      const [cx, cy] = run[0].split(",");
      content.push(svg("circle", { class: className.replace("s-", "c-"), cx, cy, r: 2 }));
    } else if (run.length) content.push(svg("polyline", { class: className, points: run.join(" ") }));
    run = [];
  };
  values.forEach((v, i) => { if (v < 0) end(); else run.push(`${x(i).toFixed(1)},${y(v).toFixed(1)}`); });
  end();
  return content;
}
