"use strict";
// Changes: they carry the admin token, which is kept in this tab and in no address, and what cannot be
// undone is asked first.

let canChange = true; // whether this process has an admin token at all

const token = () => sessionStorage.getItem("eshop-admin-token") || "";

function showToken() {
  setText($("tokenButton"), token() ? "Sign out" : "Sign in for changes");
}

let toastTimer;
function say(text, failed) {
  const t = $("toast");
  t.className = failed ? "failed" : "";
  t.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { t.textContent = ""; }, failed ? 20000 : 8000);
}

// closed resolves with what a dialog was closed with.
function closed(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

async function askToken(reason) {
  if (reason) $("tokenText").textContent = reason;
  $("token").value = "";
  const answer = await closed($("tokenDialog"));
  const given = $("token").value;
  $("token").value = "";
  if (answer !== "ok" || !given) return false;
  sessionStorage.setItem("eshop-admin-token", given);
  showToken();
  return true;
}

async function sure(title, text, verb) {
  setText($("confirmTitle"), title);
  setText($("confirmText"), text);
  setText($("confirmOk"), verb);
  return (await closed($("confirmDialog"))) === "ok";
}

// reasonOf is what an answer says went wrong.
async function reasonOf(answer) {
  const text = (await answer.text()).trim();
  try {
    return JSON.parse(text).error || text;
  } catch {
    return text || `the answer was ${answer.status}`;
  }
}

// change makes one and returns its answer, or nothing when it was not made, which the operator is told.
async function change(method, path) {
  if (!canChange) {
    say("Nothing can be changed here: this process was started without --admin.token-file.", true);
    return undefined;
  }
  if (!token() && !(await askToken())) return undefined;
  try {
    const answer = await fetch(path, { method, headers: { Authorization: "Bearer " + token() } });
    if (answer.status === 401) {
      sessionStorage.removeItem("eshop-admin-token");
      showToken();
      return (await askToken("This token is not the one in the file that --admin.token-file names.")) ? change(method, path) : undefined;
    }
    if (answer.ok) return await answer.json();
    say("Not done: " + (await reasonOf(answer)), true);
  } catch (e) {
    say(`Not known to be done: ${e.message}. Look before you try again.`, true);
  }
  return undefined;
}

function button(text, label, action, className) {
  const b = make("button", text, className || "small");
  b.type = "button";
  if (label) b.setAttribute("aria-label", label);
  let busy = false; // not disabled: that would take the focus away
  b.addEventListener("click", async () => {
    if (busy) return;
    busy = true;
    b.setAttribute("aria-busy", "true");
    try {
      await action();
    } finally {
      busy = false;
      b.removeAttribute("aria-busy");
    }
  });
  return b;
}

// get reads JSON; an error says why there is none.
async function get(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(await reasonOf(answer));
  return answer.json();
}

$("tokenButton").addEventListener("click", () => {
  if (token()) {
    sessionStorage.removeItem("eshop-admin-token");
    showToken();
    say("Signed out: the token is forgotten.");
  } else askToken();
});
$("tokenCancel").addEventListener("click", () => $("tokenDialog").close(""));
showToken();
