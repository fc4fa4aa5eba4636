"use strict";
// What the page shows: the fleet every five seconds, and what is asked for.

const every = 5000; // ms; samples come as often
let view; // the last one
let shift = 0; // this machine's clock less that of the process

const now = () => Date.now() - shift;
const memberName = (m) => `${m.role} ${m.id}`;

// prose renders a sentence with `code` in it.
function prose(parent, text) {
  parent.replaceChildren(...text.split("`").map((part, i) => (i % 2 ? make("code", part) : document.createTextNode(part))));
  return parent;
}

function doing(f) {
  const p = prose(make("p", undefined, "do"), f.do);
  p.prepend(make("strong", "What to do: "));
  return p;
}

function showVerdict(v) {
  const pages = v.findings.filter((f) => f.severity === "page").length, tickets = v.findings.length - pages;
  const silent = v.members.filter((m) => m.state === "silent").length;
  let title, text, level = "good";
  if (pages) {
    level = "page";
    title = pages === 1 ? "One thing needs you now" : `${pages} things need you now`;
    text = tickets ? `and ${tickets} can wait until morning.` : "Customers may notice. What it is, since when, and what to do:";
  } else if (tickets) {
    level = "ticket";
    title = tickets === 1 ? "One thing to look at, by daylight" : `${tickets} things to look at, by daylight`;
    text = "Customers notice nothing.";
  } else {
    title = "All is well";
    const processes = v.members.length - silent;
    text = `Nothing is wrong in ${processes} ${processes === 1 ? "member" : "members"} that answer. What was is in the charts for a quarter of an hour.`;
  }
  if (v.zookeeper !== "connected") text += ` ZooKeeper is ${v.zookeeper} for this process: who there is, is the last known.`;
  setText($("verdictTitle"), title);
  setText($("verdictText"), text);
  $("verdict").className = level;
  document.title = (pages ? `(${pages}) ` : "") + "eshop console";
  const told = [title, ...v.findings.map((f) => f.alert)].join(", ");
  if ($("announce").dataset.told !== told) { // read out when it changes, and not with each figure
    $("announce").dataset.told = told;
    $("announce").textContent = told;
  }
  rows($("findings"), v.findings, (f) => f.alert, (f) => {
    const li = make("li", undefined, f.severity), head = make("div", undefined, "head");
    li.id = f.alert;
    head.append(make("span", f.severity === "page" ? "now" : "by daylight", "tag " + f.severity), make("h3", f.alert), make("span", undefined, "since"));
    li.append(head, prose(make("p"), f.means), doing(f), make("p", undefined, "where"));
    return li;
  }, (li, f) => {
    setText(li.querySelector(".since"), `since ${clockSeconds.format(f.since)}, for ${span(v.now - f.since)}`);
    const where = (f.members || []).join(", ");
    setText(li.querySelector(".where"), where ? "Where: " + where : "In the fleet as a whole");
  });
}

// newest is the mean of the last half minute of a line, -1 when nothing is known.
function newest(series, name, highest) {
  const known = (series.lines[name] || []).slice(-6).filter((n) => n >= 0);
  if (!known.length) return -1;
  return highest ? Math.max(...known) : known.reduce((a, b) => a + b) / known.length;
}

function showFigures(v) {
  const of = (name) => Math.max(0, newest(v.series, "requests." + name)), all = levels.reduce((sum, [l]) => sum + of(l), 0);
  setText($("fRequests"), rate(all));
  setText($("fHits"), all ? percent.format(of("l1") / all) : "–");
  setText($("fLatency"), seconds(newest(v.series, "latency.p99", true)));
  setText($("fInvalidation"), seconds(newest(v.series, "invalidation.p99", true)));
  const stale = newest(v.series, "staleness.p99", true);
  setText($("fStale"), stale < 0 ? "none" : seconds(stale));
  const failed = newest(v.series, "failed");
  setText($("fFailed"), failed < 0 ? "–" : rate(failed));
  $("fFailed").classList.toggle("bad", failed > 0);
}

const health = { ready: ["ready", "good"], waiting: ["not ready", "page"], silent: ["no answer", "page"] };
const breaker = (n) => (n === undefined ? "" : n >= 2 ? "left alone" : n >= 1 ? "being tried" : "asked as needed");

function showMembers(v) {
  const table = $("members");
  rows(table.tBodies[0], v.members, memberName, () => {
    const tr = tableRow(table, ["", "why", "n", "n", "n", "", "", "nowrap", ""]);
    tr.cells[0].append(make("strong"), make("small"));
    tr.cells[1].append(make("span"), make("small"));
    return tr;
  }, (tr, m) => {
    const [text, level] = health[m.state], values = m.values, gateway = m.role === "gateway";
    setText(tr.cells[0].children[0], memberName(m));
    setText(tr.cells[0].children[1], m.here ? "this process" : m.addr);
    setText(tr.cells[1].children[0], text);
    tr.cells[1].children[0].className = "tag " + level;
    setText(tr.cells[1].children[1], m.why.join("; "));
    const of = (l) => values["requests." + l] || 0, all = levels.reduce((sum, [l]) => sum + of(l), 0), known = m.state !== "silent" && gateway;
    setText(tr.cells[2], known ? rate(all / (m.seconds || 5)) : "");
    setText(tr.cells[3], known && all ? percent.format(of("l1") / all) : "");
    setText(tr.cells[4], values.memory ? bytes(values.memory) : "");
    setText(tr.cells[5], m.role === "cache" ? breaker(values["breaker.origin"]) : "");
    tr.cells[5].className = values["breaker.origin"] >= 2 ? "bad" : "";
    setText(tr.cells[6], values.zookeeper === undefined ? "" : values.zookeeper ? "connected" : "away");
    tr.cells[6].className = values.zookeeper === 0 ? "bad" : "";
    setText(tr.cells[7], m.since ? (m.state === "silent" ? `silent for ${span(v.now - m.since)}` : span(v.now - m.since)) : "");
    setText(tr.cells[8], m.version);
  });
  setText($("membersNote"), v.more ? `${v.more} more members are not asked from here.` : v.members.length === 0 ? "ZooKeeper has not told of any member yet." : "");

  const feed = $("feed");
  rows(feed.tBodies[0], v.members.filter((m) => m.role === "cache" && m.state !== "silent"), memberName,
    () => tableRow(feed, ["", "n", "n", ""]), (tr, m) => {
      const done = ["applied", "deleted", "refused"].reduce((sum, o) => sum + (m.values["changes." + o] || 0), 0);
      setText(tr.cells[0], m.id);
      setText(tr.cells[1], rate(done / (m.seconds || 5)));
      setText(tr.cells[2], whole.format(m.values.retrying || 0));
      setText(tr.cells[3], m.values.leader ? "yes" : "");
    });
}

function showHot(v) {
  const table = $("hot");
  rows(table.tBodies[0], v.hot.slice(0, 20), (h) => h.id, (h) => {
    const tr = tableRow(table, ["", "n", "", "", "act"]);
    setText(tr.cells[0], h.id);
    tr.cells[4].append(button("Explain", `explain product ${h.id}`, () => { $("kind").value = "product"; $("id").value = h.id; return explain(); }));
    return tr;
  }, (tr, h) => {
    setText(tr.cells[1], h.count ? whole.format(h.count) : "");
    setText(tr.cells[2], h.since ? span(v.now - h.since) : "");
    setText(tr.cells[3], h.reason === "pin" ? "pinned" : "by the rule");
  });
  table.hidden = !v.hot.length;
  setText($("hotNote"), v.hot.length > 20 ? `The first 20 of ${v.hot.length}.` : v.hot.length ? "Each gateway has a copy of its own." : "Nothing is hot. Each product is served by the gateway that owns it.");
  const marks = [...v.pins.map((m) => ({ ...m, path: "pin", did: "Pinned" })), ...v.bans.map((m) => ({ ...m, path: "ban", did: "Banned" }))].slice(0, 40);
  rows($("marks"), marks, (m) => m.path + m.id, (m) => {
    const li = make("li");
    li.append(make("strong", `${m.did}: ${m.id}`), make("span", undefined, "quiet"),
      button(m.path === "pin" ? "Unpin" : "Unban", `${m.path === "pin" ? "unpin" : "unban"} product ${m.id}`, () => mark("DELETE", m.path, m.id)));
    return li;
  }, (li, m) => setText(li.children[1], `by ${m.by}, ${span(v.now - m.at)} ago`));
  $("hotLink").hidden = !v.here.some((m) => m.role === "hotcount");
}

async function mark(method, path, id) {
  const done = await change(method, `/api/${path}?id=${encodeURIComponent(id)}`);
  if (done) say(`Product ${done.id} is ${done.state}. The gateways know within a second.`);
  await refresh();
  return done;
}

function options(select, names) {
  if (select.dataset.names === names.join()) return;
  const chosen = select.value;
  select.dataset.names = names.join();
  select.replaceChildren(...names.map((n) => make("option", n)));
  if (names.includes(chosen)) select.value = chosen;
  else if (names.includes("product")) select.value = "product";
}

function show(v) {
  view = v;
  shift = Date.now() - v.now;
  canChange = v.canChange;
  options($("kind"), v.kinds);
  options($("degradeKind"), ["*", ...v.kinds]);
  if (!$("degradeKind").dataset.begun) $("degradeKind").dataset.begun = $("degradeKind").value = v.kinds[0] || "*";
  setText($("here"), `seen by ${v.here.map(memberName).join(", ")}`);
  $("tokenButton").hidden = !v.canChange;
  showVerdict(v);
  showFigures(v);
  for (const c of charts) drawChart(c, v.series);
  showMembers(v);
  showHot(v);
}

let failures = 0;
async function refresh() {
  try {
    show(await get("/api/fleet"));
    failures = 0;
    setText($("link"), "");
    $("link").className = "quiet";
  } catch (e) {
    failures++;
    setText($("link"), `No answer from this process, trying again: ${e.message}. What is shown is old.`);
    $("link").className = "bad";
  }
}

// follow asks again and again, while somebody can see the page.
function follow(ask, delay) {
  let timer, running = false;
  const round = async () => {
    clearTimeout(timer);
    if (document.hidden || running) return;
    running = true;
    await ask();
    running = false;
    timer = setTimeout(round, delay());
  };
  document.addEventListener("visibilitychange", round);
  round();
  return round;
}

for (const c of charts) $("charts").append(buildChart(c));
addEventListener("resize", () => { for (const c of charts) drawChart(c); });
// On a narrow page a table becomes a list.
const narrow = matchMedia("(max-width: 44rem)");
const stack = () => { for (const t of document.querySelectorAll("main table")) t.classList.toggle("stack", narrow.matches); };
narrow.addEventListener("change", stack);
stack();
follow(refresh, () => every);
