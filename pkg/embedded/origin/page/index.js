"use strict";
const fields = { products: ["name", "price", "color", "size"], shops: ["name", "level", "goodCommentRate"] };
const numbers = new Set(["price", "level", "goodCommentRate"]);
const perPage = 24;
const byId = (id) => document.getElementById(id);
let kind = "products";
let from = 1;

function say(text, bad) {
  byId("said").textContent = text;
  byId("said").className = bad ? "bad" : "";
}

function make(tag, props, ...children) {
  const el = Object.assign(document.createElement(tag), props);
  el.append(...children);
  return el;
}

async function call(method, path, body) {
  const r = await fetch(path, { method, body: body && JSON.stringify(body) });
  const answer = r.status === 204 ? {} : await r.json();
  if (!r.ok) throw new Error(answer.error || "HTTP " + r.status);
  return answer;
}

function card(doc) {
  const form = make("form", {});
  if (kind === "products") {
    // Only this server's own pictures: the list may name other hosts.
    form.append(make("img", { src: `/pictures/${doc.id}-1.svg`, alt: "", loading: "lazy" }));
  }
  const note = make("small", {});
  const show = (d) => { note.textContent = `${kind.slice(0, -1)} ${d.id}` + (d.modifiedTime ? `, modified ${d.modifiedTime}` : ""); };
  show(doc);
  form.append(note);
  const inputs = {};
  for (const f of fields[kind]) {
    inputs[f] = make("input", { value: doc[f] ?? "", name: f });
    form.append(make("label", {}, f, inputs[f]));
  }
  form.append(make("button", { type: "submit" }, "Save"));
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const change = {};
    for (const f of fields[kind]) {
      const text = inputs[f].value;
      if (text === String(doc[f] ?? "")) continue;
      change[f] = numbers.has(f) ? Number(text) : text;
      if (numbers.has(f) && (text.trim() === "" || !Number.isFinite(change[f]))) return say(`${f} must be a number`, true);
    }
    try {
      doc = await call("PUT", `/${kind}/${doc.id}`, change);
      show(doc);
      say(`Saved ${kind.slice(0, -1)} ${doc.id}.`);
    } catch (err) {
      say(err.message, true);
    }
  });
  return form;
}

async function load() {
  for (const k of Object.keys(fields)) byId(k).setAttribute("aria-pressed", String(k === kind));
  byId("from").value = from;
  try {
    const docs = await call("GET", `/${kind}?from=${from}&n=${perPage}`);
    byId("list").replaceChildren(...docs.map(card));
    say(docs.length ? "" : `No ${kind} from ${from} on.`);
  } catch (err) {
    say(err.message, true);
  }
}

for (const k of Object.keys(fields)) byId(k).onclick = () => { kind = k; from = 1; load(); };
byId("back").onclick = () => { from = Math.max(1, from - perPage); load(); };
byId("on").onclick = () => { from += perPage; load(); };
byId("from").onchange = () => { from = Math.max(1, Math.trunc(Number(byId("from").value)) || 1); load(); };
load();
