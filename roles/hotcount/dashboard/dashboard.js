"use strict";
// Shows what /api/live sends, once a second, and sends changes with the admin token. Text reaches the page as
// text only, never as markup.

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const rate = (n) => (n < 100 ? tenths : whole).format(n);

function span(ms) {
  if (ms < 1000) return whole.format(Math.max(0, ms)) + " ms";
  if (ms < 120e3) return fine.format(ms / 1000) + " s";
  if (ms < 120 * 60e3) return whole.format(ms / 60e3) + " min";
  return whole.format(ms / 3600e3) + " h";
}

function make(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function button(text, label, action) {
  const b = make("button", text);
  b.type = "button";
  b.setAttribute("aria-label", label);
  b.addEventListener("click", action);
  return b;
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

function cells(row, count, classes) {
  for (let i = 0; i < count; i++) row.append(make("td", undefined, classes[i]));
  return row;
}

function spark() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 59 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
  return svg;
}

function drawSpark(svg, values) {
  const most = Math.max(1, ...values);
  const first = 60 - values.length;
  svg.firstChild.setAttribute("points", values.map((v, i) => `${first + i},${(19 - 18 * v / most).toFixed(1)}`).join(" "));
  svg.setAttribute("aria-label", `the last minute: at most ${rate(most)} a second`);
}

function showHot(live) {
  rows($("hot").tBodies[0], live.hot, (h) => h.id, (h) => {
    const r = cells(make("tr"), 8, ["", "n", "", "n wide", "n wide", "n", "", ""]);
    r.cells[0].textContent = h.id;
    r.cells[2].append(spark());
    r.cells[6].append(make("span"));
    r.cells[7].append(button("ban", `ban product ${h.id}`, () => change("POST", `/api/ban?id=${h.id}`, `Product ${h.id} is banned.`)));
    return r;
  }, (r, h) => {
    r.cells[1].textContent = rate(h.rate);
    drawSpark(r.cells[2].firstChild, h.spark || []);
    r.cells[3].textContent = whole.format(h.count);
    r.cells[4].textContent = percent.format(h.share);
    r.cells[5].textContent = h.since ? span(live.now - Date.parse(h.since)) : "";
    r.cells[6].firstChild.textContent = h.reason;
    r.cells[6].firstChild.className = "why " + h.reason;
  });
  $("noHot").hidden = live.hot.length > 0;
  $("hot").hidden = live.hot.length === 0;
}

function showTop(live) {
  const most = Math.max(...live.top.map((t) => t.share), 1e-9);
  live.top.forEach((t, i) => { t.rank = i + 1; });
  rows($("top").tBodies[0], live.top, (t) => t.id, (t) => {
    const r = cells(make("tr"), 6, ["n", "", "n", "n wide", "", ""]);
    r.cells[1].textContent = t.id;
    const share = make("span", undefined, "share"), track = make("i");
    track.append(make("b"));
    share.append(track, make("span"));
    r.cells[4].append(share);
    r.cells[5].append(button("pin", `pin product ${t.id}`, () => change("POST", `/api/pin?id=${t.id}`, `Product ${t.id} is pinned.`)));
    return r;
  }, (r, t) => {
    r.className = t.hot ? "isHot" : "";
    r.cells[0].textContent = t.rank;
    r.cells[2].textContent = rate(t.rate);
    r.cells[3].textContent = whole.format(t.count);
    const share = r.cells[4].firstChild;
    share.firstChild.firstChild.style.width = (100 * t.share / most).toFixed(1) + "%";
    share.lastChild.textContent = percent.format(t.share);
  });
  $("noTop").hidden = live.top.length > 0;
  $("top").hidden = live.top.length === 0;
}

function showMarks(list, marks, path, done) {
  rows(list, marks, (m) => m.id, (m) => {
    const li = make("li");
    li.append(make("strong", m.id), make("span", undefined, "note"),
      button("remove", `remove product ${m.id}`, () => change("DELETE", `${path}?id=${m.id}`, `Product ${m.id} is ${done}.`)));
    return li;
  }, (li, m) => {
    li.children[1].textContent = [m.by && "by " + m.by, m.at && new Date(m.at).toLocaleString()].filter(Boolean).join(", ");
  });
}

let edited = false; // the rule's form holds something that is not stored

function showRule(live) {
  const form = $("ruleForm");
  if (!edited) for (const name of Object.keys(live.rule)) if (form.elements[name]) form.elements[name].value = live.rule[name];
  for (const w of document.querySelectorAll(".window")) w.textContent = `${fine.format(live.window)} s`;
  const r = live.rule;
  $("ruleText").textContent = `At least ${whole.format(r.floor)} hits in ${fine.format(live.window)} s and ${fine.format(r.factor)} times the mean of the coldest 95 %; ` +
    `cools when below ${fine.format(100 * r.cool)} % of that for ${r.hold}.`;
}

function showPartitions(live) {
  rows($("partitions").tBodies[0], live.partitions, (p) => p.partition, () => cells(make("tr"), 5, ["n", "", "n", "n", "n"]), (r, p) => {
    const ago = live.now - p.watermark;
    [p.partition, p.holder + (p.local ? " (here)" : ""), rate(p.rate), whole.format(p.lag), p.watermark ? span(ago) : "–"]
      .forEach((text, i) => { r.cells[i].textContent = text; });
    r.cells[4].classList.toggle("bad", ago > 15e3);
  });
}

function show(live) {
  $("rate").textContent = rate(live.eventsPerSecond);
  $("hotCount").textContent = whole.format(live.hot.length);
  $("distinct").textContent = whole.format(live.distinct);
  $("lag").textContent = whole.format(live.lag);
  $("watermark").textContent = live.watermark ? span(live.now - live.watermark) : "–";
  const d = live.detection;
  $("detection").textContent = d.count ? span(d.p50) : "–";
  $("detectionLabel").textContent = d.count ? `until found hot (99 %: ${span(d.p99)})` : "until found hot";
  showHot(live);
  showTop(live);
  showMarks($("pins"), live.pins, "/api/pin", "pinned no more");
  showMarks($("bans"), live.bans, "/api/ban", "banned no more");
  showRule(live);
  showPartitions(live);
  const trouble = live.zookeeper !== "connected";
  state(trouble ? `ZooKeeper is ${live.zookeeper}: lists are the last known` : live.ready ? "live" : "live, not ready yet", trouble ? "lost" : "live");
}

function state(text, className) {
  const s = $("state");
  if (s.textContent !== text) s.textContent = text;
  s.className = "state " + className;
}

function say(text, bad) {
  $("answer").textContent = text;
  $("answer").classList.toggle("bad", Boolean(bad));
}

async function change(method, path, done, body) {
  const token = $("token").value;
  if (!token) {
    say("Changes need the admin token (--admin.token-file): enter it below.", true);
    $("token").focus();
    return false;
  }
  try {
    const answer = await fetch(path, { method, body, headers: { Authorization: "Bearer " + token, ...(body && { "Content-Type": "application/json" }) } });
    const text = (await answer.text()).trim();
    if (answer.ok) {
      say(done);
      return true;
    }
    let reason = text;
    try { reason = JSON.parse(text).error || text; } catch { /* it is plain text */ }
    say(reason || `The answer was ${answer.status}.`, true);
  } catch (e) {
    say(`The change did not get through: ${e.message}`, true);
  }
  return false;
}

function listen() {
  const events = new EventSource("/api/live");
  events.onmessage = (e) => show(JSON.parse(e.data));
  events.onerror = () => {
    state("no connection, trying again", "lost");
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  };
}

function onMarkForm(form, path, done) {
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const field = form.elements.id, id = field.value.trim();
    if (await change("POST", `${path}?id=${encodeURIComponent(id)}`, `Product ${id} is ${done}.`)) field.value = "";
  });
}

$("token").value = sessionStorage.getItem("token") || "";
$("token").addEventListener("input", () => sessionStorage.setItem("token", $("token").value));
$("tokenForm").addEventListener("submit", (e) => e.preventDefault());
onMarkForm($("pinForm"), "/api/pin", "pinned");
onMarkForm($("banForm"), "/api/ban", "banned");
$("ruleForm").addEventListener("input", () => { edited = true; });
$("ruleReset").addEventListener("click", () => { edited = false; say(""); });
$("ruleForm").addEventListener("submit", async (e) => {
  e.preventDefault();
  const f = e.target.elements, rule = { hold: f.hold.value.trim(), window: f.window.value.trim() };
  for (const name of ["floor", "factor", "cool", "top", "max"]) rule[name] = Number(f[name].value);
  if (await change("PUT", "/api/rule", "The rule is stored.", JSON.stringify(rule))) edited = false;
});
listen();
