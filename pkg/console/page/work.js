"use strict";
// What an operator works with: the explain box, dead letters, switches, the prewarm.

// stamps compares two by epoch, version and token.
function stamps(a, b) {
  const x = a.split(".").map(BigInt), y = b.split(".").map(BigInt);
  for (let i = 0; i < 3; i++) if (x[i] !== y[i]) return x[i] < y[i] ? -1 : 1;
  return 0;
}

// copies makes lines of what the processes said they hold.
function copies(said) {
  const lines = [], owners = { gateway: new Set(), cache: new Set() }, facts = new Set();
  let redis = false;
  const add = (level, who, copy, remarks, owner) => lines.push({ level, who, copy, remarks: remarks.filter(Boolean), owner });
  for (const p of said) {
    const name = p.members.map(memberName).join(", ");
    if (p.error) {
      add("no answer", name, { error: p.error }, []);
      continue;
    }
    for (const role of ["gateway", "cache"]) {
      const part = p.answer[role];
      if (!part) continue;
      const id = (p.members.find((m) => m.role === role) || {}).id || part.gateway, owner = part.owner === id;
      if (part.owner) owners[role].add(part.owner);
      for (const s of part.degraded || []) facts.add(`degraded: ${s.mode} for ${s.kind}`);
      if (role === "gateway") {
        if (part.hot && (part.hot === true || part.hot.hot || part.hot.state === "hot")) facts.add("hot: every gateway has a copy of its own");
        const l1 = part.l1;
        add("memory", `gateway ${id}`, l1 || { state: "nothing" }, l1 ? [l1.usable ? "usable" : "checked before use", `${l1.life.state}, verified ${l1.life.verifiedAgo} ago`] : [part.l1Pages && "pages made of it are still here"], owner);
      } else {
        const l1 = part.l1;
        add("memory", `cache ${id}`, l1 ? l1.copy : { state: part.absent ? "known to be absent" : "nothing" }, l1 ? [l1.usable ? "usable" : "checked before use", `verified ${l1.verifiedAgo} ago`] : [], owner);
      }
      if (part.floor && part.floor !== "0.0.0") facts.add(`nothing older than ${part.floor} is served`);
      if (!redis && part.redisMaster) {
        redis = true;
        add("Redis", "master", part.redisMaster, []);
        add("Redis", "replica", part.redisReplica, []);
      }
    }
  }
  const order = (l) => (l.who.startsWith("gateway") ? 0 : l.level === "Redis" ? 2 : l.level === "memory" ? 1 : 3);
  lines.sort((a, b) => order(a) - order(b) || (b.owner || 0) - (a.owner || 0));
  return { lines, owners, facts };
}

async function explain() {
  const out = $("explained"), kind = $("kind").value, id = $("id").value.trim();
  let said;
  try {
    said = await get(`/api/fleet/explain?kind=${encodeURIComponent(kind)}&id=${encodeURIComponent(id)}`);
  } catch (e) {
    out.replaceChildren(make("p", `It could not be explained: ${e.message}`, "bad"));
    return;
  }
  const { lines, owners, facts } = copies(said.processes);
  const newest = lines.map((l) => l.copy.stamp).filter(Boolean).reduce((a, b) => (a && stamps(a, b) >= 0 ? a : b), "");
  const table = make("table"), head = table.createTHead().insertRow(), body = table.createTBody();
  for (const name of ["level", "where", "state", "stamp", "age", "remarks", "body"]) {
    const th = make("th", name);
    th.scope = "col";
    head.append(th);
  }
  for (const l of lines) {
    const tr = tableRow(table, ["", "", "", "nowrap", "nowrap", "", ""]), c = l.copy, older = c.stamp && stamps(c.stamp, newest) < 0;
    tr.className = c.stamp && !older ? "newest" : c.stamp || c.error ? "" : "muted";
    setText(tr.cells[0], l.level);
    setText(tr.cells[1], l.who);
    if (l.owner) tr.cells[1].append(" ", make("span", "owner", "tag"));
    setText(tr.cells[2], c.error ? c.error : c.state + (c.provisional ? ", provisional" : ""));
    if (c.error) tr.cells[2].className = "bad";
    if (c.stamp) {
      tr.cells[3].append(make("code", c.stamp));
      if (older) tr.cells[3].append(" ", make("span", "older", "tag ticket"));
    }
    setText(tr.cells[4], c.age || "");
    setText(tr.cells[5], l.remarks.join("; "));
    if (c.body !== undefined || c.raw) {
      const details = make("details");
      details.append(make("summary", "look"), make("code", c.raw ? c.raw : JSON.stringify(c.body)));
      tr.cells[6].append(details);
      tr.cells[6].className = "message";
    }
    body.append(tr);
  }
  const list = (role) => (owners[role].size ? `${role} ${[...owners[role]].join(" or ")}` : "");
  const summary = make("p", [`${kind} ${id}`, [list("gateway"), list("cache")].filter(Boolean).map((o) => `owner ${o}`).join(", "), ...facts].filter(Boolean).join("; "));
  const buttons = make("p", undefined, "buttons");
  buttons.append(button("Purge from every memory", "", () => purge(kind, id)));
  if (kind === "product") buttons.append(button("Pin as hot", "", () => mark("POST", "pin", id)));
  const scroll = make("div", undefined, "scroll");
  table.classList.toggle("stack", narrow.matches);
  scroll.append(table);
  out.replaceChildren(summary, scroll, make("p", "A stamp is epoch.version.token: the higher one is the later copy. Ages are since the pull from the shop.", "quiet"), buttons);
}

async function purge(kind, id) {
  if (!(await sure(`Purge ${kind} ${id}?`, "Every gateway and cache process forgets its copy. Redis keeps its own, from which the next request is answered.", "Purge"))) return;
  const done = await change("POST", `/api/fleet/purge?kind=${encodeURIComponent(kind)}&id=${encodeURIComponent(id)}`);
  if (!done) return;
  const failed = done.processes.filter((p) => p.error);
  const had = done.processes.filter((p) => p.answer && Object.values(p.answer.purged).some(Boolean)).length;
  if (failed.length) say(`Purged where there was an answer; not by ${failed.map((p) => p.members.map(memberName).join(", ") + " (" + p.error + ")").join("; ")}`, true);
  else say(`Purged: ${had} of ${done.processes.length} ${done.processes.length === 1 ? "process" : "processes"} had a copy.`);
  await explain();
}

async function showDead() {
  let list;
  try {
    list = await get("/api/dead-letters?n=50");
  } catch (e) {
    setText($("deadNote"), `They cannot be looked at: ${e.message}`);
    $("deadNote").className = "bad";
    return;
  }
  $("deadNote").className = "quiet";
  setText($("deadNote"), list.total === 0 ? "There are none." : `${whole.format(list.open)} open of ${whole.format(list.total)} in the topic ${list.topic}.` +
    (list.open ? " Mend what their reason names, then send them again; or discard them." : ""));
  const table = $("dead");
  table.hidden = !list.letters.length;
  list.letters.sort((a, b) => (b.state === "open") - (a.state === "open"));
  rows(table.tBodies[0], list.letters, (l) => `${l.partition}/${l.offset}/${l.state}`, (l) => {
    const tr = tableRow(table, ["nowrap", "nowrap", "message whole", "", "act"]), d = l.message;
    setText(tr.cells[0], `${l.partition}/${l.offset}`);
    tr.className = l.state === "open" ? "" : "muted";
    const value = make("code", d.value.length > 120 ? d.value.slice(0, 120) + "…" : d.value);
    const details = make("details");
    details.append(make("summary", "look"), make("code", JSON.stringify(d)));
    tr.cells[2].append(value, make("small", l.unreadable || d.reason), details);
    setText(tr.cells[3], l.state === "open" ? "open" : `${l.state} by ${l.by}`);
    if (l.state === "open") {
      const at = `partition=${l.partition}&offset=${l.offset}`, name = `letter ${l.partition}/${l.offset}`;
      if (!l.unreadable && !d.truncated) tr.cells[4].append(button("Replay", `replay ${name}`, () => replay(at, name)), " ");
      tr.cells[4].append(button("Discard", `discard ${name}`, () => discard(at, name), "small quietButton"));
    }
    return tr;
  }, (tr, l) => setText(tr.cells[1], `${span(now() - Date.parse(l.written))} ago`));
}

async function replay(at, name) {
  if (await change("POST", "/api/dead-letters/replay?" + at)) say(`The message of ${name} is on its topic again. If it fails again, it comes back as a new letter.`);
  await showDead();
}

async function discard(at, name) {
  if (!(await sure(`Discard ${name}?`, "It counts as dealt with and is not shown as open again. Its change is not applied; the message stays in the topic until retention removes it.", "Discard"))) return;
  if (await change("POST", "/api/dead-letters/discard?" + at)) say(`Discarded: ${name}.`);
  await showDead();
}

async function showSwitches() {
  let list;
  try {
    list = (await get("/api/degrade")).switches;
  } catch (e) {
    setText($("switchesNote"), `Not known: ${e.message}`);
    return;
  }
  setText($("switchesNote"), list.length ? "" : "No switch is on. Each makes the whole fleet do less for a kind of documents, for a time.");
  rows($("switches"), list, (s) => `${s.kind}/${s.mode}/${s.since}`, (s) => {
    const li = make("li");
    li.append(make("strong", `${s.mode} for ${s.kind === "*" ? "all kinds" : s.kind}`), make("span", undefined, "quiet"),
      button("End it", `end ${s.mode} for ${s.kind}`, async () => {
        if (await change("DELETE", `/api/degrade?kind=${encodeURIComponent(s.kind)}&mode=${encodeURIComponent(s.mode)}`)) say(`${s.mode} for ${s.kind} has ended.`);
        await showSwitches();
      }));
    return li;
  }, (li, s) => setText(li.children[1], `by ${s.by}, ends in ${span(Date.parse(s.until) - now())}`));
}

let prewarming = false;
async function showPrewarm() {
  let p;
  try {
    p = await get("/api/prewarm");
  } catch (e) {
    setText($("prewarmText"), `Not known: ${e.message}`);
    return;
  }
  prewarming = p.state === "running" || p.state === "waiting";
  const texts = {
    none: "There was none yet.", waiting: "Asked for; a cache process will begin it.",
    running: `${whole.format(p.done)} of ${whole.format(p.total)} products, ${rate(p.rate)} a second` + (p.secondsLeft ? `, about ${span(p.secondsLeft * 1000)} left` : ""),
    finished: `The last one ended ${p.finished ? span(now() - Date.parse(p.finished)) + " ago" : ""}: ${whole.format(p.total)} products in ${seconds(p.seconds)}.`,
  };
  setText($("prewarmText"), texts[p.state] || p.state);
  $("prewarmBar").hidden = p.state !== "running";
  if (p.total) $("prewarmBar").value = p.done / p.total;
  setText($("prewarmNote"), p.state === "none" ? "" : [`${whole.format(p.pulled)} pulled, ${whole.format(p.present)} were there, ${whole.format(p.absent)} do not exist, ${whole.format(p.failed)} failed`,
    p.waiting && `waits for ${p.waiting}`, p.fault].filter(Boolean).join("; "));
  $("prewarmButton").disabled = prewarming;
}

$("explainForm").addEventListener("submit", (e) => { e.preventDefault(); explain(); });
$("pinForm").addEventListener("submit", async (e) => {
  e.preventDefault();
  const id = $("pinId").value.trim(), ban = e.submitter && e.submitter.name === "ban";
  if (ban && !(await sure(`Ban product ${id}?`, "It is never hot while it is banned: however much it is asked for, one gateway alone serves it.", "Ban"))) return;
  if (await mark("POST", ban ? "ban" : "pin", id)) $("pinId").value = "";
});
$("degradeForm").addEventListener("submit", async (e) => {
  e.preventDefault();
  const kind = $("degradeKind").value, mode = $("degradeMode").value, time = $("degradeFor").value;
  const what = mode === "no-origin" ? "Nothing is asked of the shop; what neither memory nor Redis has gets 503, and changes wait." : "Only what the gateways have in memory is served, however old; the rest gets 503.";
  if (!(await sure(`${mode} for ${kind === "*" ? "all kinds" : kind}, ${time}?`, what + " It ends by itself after that time.", "Switch on"))) return;
  if (await change("POST", `/api/degrade?kind=${encodeURIComponent(kind)}&mode=${mode}&for=${time}&by=console`)) say(`${mode} is on.`);
  await showSwitches();
});
$("prewarmButton").addEventListener("click", async () => {
  if (!(await sure("Fill Redis from the ranking?", "The products that are asked for most are pulled from the shop, at a bounded rate.", "Prewarm"))) return;
  if (await change("POST", "/api/prewarm")) say("A prewarm is asked for.");
  await showPrewarm();
});
follow(showDead, () => 15000);
follow(showSwitches, () => 10000);
follow(showPrewarm, () => (prewarming ? 2000 : 15000));
