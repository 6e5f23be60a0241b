// One item at a time: show it, take a vote, send it until the server says that it is on the disk.
"use strict";

const KEYS = {
  ArrowLeft: "a", 1: "a", ArrowRight: "b", 2: "b", t: "tie", s: "skip", u: "undo",
};
const RETRY_MS = 1000;
const element = (id) => document.getElementById(id);

let state = null;
let busy = true;

// A vote that was given and not confirmed outlives a closed page.
const waiting = {
  key: () => `unconfirmed vote of ${state.annotator}`,
  get: () => JSON.parse(localStorage.getItem(waiting.key()) || "null"),
  set: (vote) => localStorage.setItem(waiting.key(), JSON.stringify(vote)),
  clear: () => localStorage.removeItem(waiting.key()),
};

function show() {
  const { item, done, total, question } = state;
  element("question").textContent = question;
  element("annotator").textContent = state.annotator;
  element("progress").textContent = `${done} of ${total}`;
  element("share").style.width = `${(100 * done) / total}%`;
  element("voting").hidden = !item;
  element("finished").hidden = Boolean(item);
  element("others").hidden = false;
  if (item) {
    write("prompt", item.prompt, true);
    write("first", item.responses[0].text, item.responses[0].ended);
    write("second", item.responses[1].text, item.responses[1].ended);
    scrollTo(0, 0);
  } else {
    element("summary").textContent = `Winners: ${total - state.ties - state.skipped}, ` +
      `ties: ${state.ties}, skipped: ${state.skipped}. Every vote is saved; this page can be closed.`;
  }
  allow();
}

// Model output is text and never HTML. A response starts with its space, which belongs to no eye.
function write(id, text, ended) {
  const blank = text.trim() === "";
  element(id).textContent = blank ? "(nothing but white space)" : text.replace(/^ /, "");
  element(id).classList.toggle("blank", blank);
  element(id).classList.toggle("cut", !ended && !blank);
}

function allow() {
  for (const button of document.querySelectorAll("[data-winner]")) {
    button.disabled = busy || !target(button.dataset.winner);
  }
}

// The item that a choice is about; none where there is nothing to choose or to take back.
function target(winner) {
  return winner === "undo" ? state.previous : state.item && state.item.id;
}

function notify(message) {
  element("notice").textContent = message;
  element("notice").hidden = !message;
}

async function ask(path, body) {
  for (;;) {
    try {
      const options = body && {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      };
      const response = await fetch(path, options || {});
      const reply = await response.json();
      notify(response.ok ? "" : reply.error);
      return response.ok ? reply : null;
    } catch {
      notify(`The server does not answer. ${body ? "Your vote is kept here and sent" : "The page goes on"} when it is back.`);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

async function vote(winner) {
  const item = !busy && target(winner);
  if (!item) return;
  busy = true;
  allow();
  await send({ item, winner });
}

async function send(body) {
  waiting.set(body);
  state = await ask("votes", body) || state;
  waiting.clear();
  busy = false;
  show();
}

async function start() {
  state = await ask("state");
  if (!state) return;
  const unconfirmed = waiting.get();
  // answered since, here or in another tab: what was meant then must not undo what was said later
  if (unconfirmed && unconfirmed.item === target(unconfirmed.winner)) {
    await send(unconfirmed);
    return;
  }
  waiting.clear();
  busy = false;
  show();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-winner]");
  if (button) vote(button.dataset.winner);
});

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  const winner = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!winner) return;
  event.preventDefault();
  vote(winner);
});

start();
