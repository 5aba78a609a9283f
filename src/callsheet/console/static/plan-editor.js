// The editor of plans: line numbers, completion by the JSON Schema of plans, and problems while a person types.
// Without JavaScript it is a text field, and the button “Check” shows the problems.

import { completions } from "/static/plan-completion.js";

const CHECK_AFTER = 500;
const PLACE = /line (\d+), column (\d+)/;

const field = document.getElementById("plan");
const gutter = document.getElementById("plan-lines");
const list = document.getElementById("plan-options");
const state = document.getElementById("plan-state");
const schema = fetch("/api/plan.schema.json").then((response) => (response.ok ? response.json() : null));

let wrongLines = new Set();
let options = [];
let chosen = 0;
let from = 0;

const showLines = () => {
  const count = field.value.split("\n").length;
  const numbers = Array.from({ length: count }, (_, index) => {
    const number = document.createElement("span");
    number.textContent = index + 1;
    if (wrongLines.has(index + 1)) number.className = "wrong";
    return number;
  });
  gutter.replaceChildren(...numbers);
  gutter.scrollTop = field.scrollTop;
};

// Problems

const goTo = (line, column) => {
  const start = field.value.split("\n").slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
  field.focus();
  field.setSelectionRange(start + column - 1, start + column - 1);
  field.scrollTop = Math.max(0, (line - 4) * lineHeight());
};

const problemItem = ({ path, message }) => {
  const item = document.createElement("li");
  const place = PLACE.exec(message);
  const text = `${path ? `${path}: ` : ""}${message.replace(/ \(line \d+, column \d+\)$/, "")}`;
  if (!place) {
    item.textContent = text;
    return item;
  }
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link";
  button.textContent = `Line ${place[1]}`;
  button.addEventListener("click", () => goTo(Number(place[1]), Number(place[2])));
  item.append(button, ` ${text}`);
  return item;
};

const showCheck = (check) => {
  const lines = check.problems.map(({ message }) => PLACE.exec(message)).filter(Boolean);
  wrongLines = new Set(lines.map((place) => Number(place[1])));
  showLines();
  const head = document.createElement("p");
  const { amount = 0, unpricedJobs = [] } = check.estimatedCost ?? {};
  const unknown = unpricedJobs.length ? ` Price not known: ${unpricedJobs.slice(0, 5).join(", ")}${unpricedJobs.length > 5 ? "…" : ""}.` : "";
  const cost = `${amount ? ` Estimated cost at providers: $ ${amount.toFixed(2)}.` : ""}${unknown}`;
  head.textContent = check.valid
    ? `No problems. Jobs: ${check.jobs}.${cost}`
    : `${check.count} problem${check.count === 1 ? "" : "s"}`;
  const items = document.createElement("ul");
  items.replaceChildren(...check.problems.map(problemItem));
  state.className = check.valid ? "good" : "problems";
  state.replaceChildren(head, ...(check.valid ? [] : [items]));
};

let waiting;
let running;

const check = async () => {
  running?.abort();
  running = new AbortController();
  const text = field.value;
  if (text.trim() === "") return state.replaceChildren();
  const type = text.trimStart().startsWith("{") ? "application/json" : "application/yaml";
  try {
    const response = await fetch("/api/plans/check", {
      method: "POST",
      headers: { "Content-Type": type, "X-CSRF-Token": field.form.elements.token.value },
      body: text,
      signal: running.signal,
    });
    const answer = await response.json();
    if (response.ok) showCheck(answer);
    else state.replaceChildren(answer.detail ?? `The server answered ${response.status}.`);
  } catch (error) {
    // A newer text is checked instead, or the server is away; the next change checks again.
    if (error.name !== "AbortError") state.replaceChildren("The server cannot be reached; the plan was not checked.");
  }
};

const checkSoon = () => {
  clearTimeout(waiting);
  waiting = setTimeout(check, CHECK_AFTER);
};

// Completion

const lineHeight = () => parseFloat(getComputedStyle(field).lineHeight);

const close = () => {
  list.hidden = true;
  options = [];
  field.removeAttribute("aria-activedescendant");
};

const choose = (index) => {
  chosen = (index + options.length) % options.length;
  [...list.children].forEach((item, number) => item.setAttribute("aria-selected", number === chosen));
  list.children[chosen].scrollIntoView({ block: "nearest" });
  field.setAttribute("aria-activedescendant", list.children[chosen].id);
};

const accept = () => {
  field.setRangeText(options[chosen].insert, from, field.selectionStart, "end");
  close();
  field.dispatchEvent(new Event("input", { bubbles: true }));
};

const optionItem = ({ label, about }, index) => {
  const item = document.createElement("li");
  item.id = `plan-option-${index}`;
  item.setAttribute("role", "option");
  const name = document.createElement("strong");
  name.textContent = label;
  item.append(name, about ? ` ${about}` : "");
  item.addEventListener("mousedown", (event) => {
    event.preventDefault();
    chosen = index;
    accept();
  });
  return item;
};

// Below the place: all letters are of one width, and lines do not wrap.
const placeList = () => {
  const style = getComputedStyle(field);
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.font = style.font;
  const before = field.value.slice(0, from).split("\n");
  const left = field.offsetLeft + parseFloat(style.paddingLeft) + canvas.measureText(before.at(-1)).width - field.scrollLeft;
  list.style.left = `${Math.max(0, Math.min(left, field.offsetLeft + field.offsetWidth - list.offsetWidth))}px`;
  list.style.top = `${field.offsetTop + parseFloat(style.paddingTop) + before.length * lineHeight() - field.scrollTop}px`;
};

const complete = async (isAsked) => {
  const root = await schema;
  const position = field.selectionStart;
  if (root === null || position !== field.selectionEnd || document.activeElement !== field) return close();
  const found = completions(field.value, position, root);
  const isWord = position > found.from || /(^|\n) +$|- $|: $|"$/.test(field.value.slice(0, position));
  const typed = field.value.slice(found.from, position);
  const isDone = found.options.length === 1 && found.options[0].label === typed;
  if (found.options.length === 0 || isDone || !(isAsked || isWord)) return close();
  ({ from, options } = found);
  list.replaceChildren(...options.map(optionItem));
  list.hidden = false;
  placeList();
  choose(0);
};

const newLine = () => {
  const start = field.value.lastIndexOf("\n", field.selectionStart - 1) + 1;
  const line = field.value.slice(start, field.selectionStart);
  const space = /^ *(?:- +)*/.exec(line)[0].replace(/-/g, " ");
  const deeper = /:\s*$/.test(line) ? "  " : "";
  field.setRangeText(`\n${space}${deeper}`, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
};

const KEYS = {
  ArrowDown: () => choose(chosen + 1),
  ArrowUp: () => choose(chosen - 1),
  Enter: accept,
  Tab: accept,
  Escape: close,
};

field.addEventListener("keydown", (event) => {
  const { key, ctrlKey, metaKey, altKey, shiftKey, isComposing } = event;
  if (isComposing || altKey || metaKey) return;
  if (ctrlKey && key === " ") complete(true);
  else if (!list.hidden && !shiftKey && !ctrlKey && KEYS[key]) KEYS[key]();
  else if (key === "Enter" && !ctrlKey && !shiftKey && !field.value.trimStart().startsWith("{")) newLine();
  else return;
  event.preventDefault();
});
field.addEventListener("input", (event) => {
  showLines();
  checkSoon();
  if (event.inputType?.startsWith("delete")) close();
  else complete(false);
});
field.addEventListener("scroll", () => {
  gutter.scrollTop = field.scrollTop;
  if (!list.hidden) placeList();
});
field.addEventListener("blur", close);
field.addEventListener("click", close);

gutter.hidden = false;
showLines();
if (field.value.trim() !== "") check();
