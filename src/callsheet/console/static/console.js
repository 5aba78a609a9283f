// Updates open pages from event streams. Without JavaScript the pages work too, but show the state at load time.

import { loadMedia, synchronize } from "/static/media.js";

const FOCUSABLE = "a, button, summary, input, select";

const element = (html) => {
  const template = document.createElement("template");
  const isDrawing = html.trimStart().startsWith("<g");
  template.innerHTML = isDrawing ? `<svg>${html}</svg>` : html.trim();
  const first = template.content.firstElementChild;
  return isDrawing ? first.firstElementChild : first;
};

const localTimes = (root) => {
  for (const time of root.querySelectorAll("time:not([data-local])")) {
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    time.dataset.local = "";
  }
};

// Replaces an element, and keeps open what a person has opened, and the focus.
const replace = (old, next) => {
  for (const details of old.querySelectorAll("details[data-key]")) {
    const same = next.querySelector(`details[data-key="${CSS.escape(details.dataset.key)}"]`);
    if (same !== null) same.open = details.open;
  }
  for (const box of old.querySelectorAll("input:checked")) {
    const same = next.querySelector(`input[name="${CSS.escape(box.name)}"][value="${CSS.escape(box.value)}"]`);
    if (same !== null) same.checked = true;
  }
  const place = [...old.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement);
  if (document.activeElement?.matches("input, select, textarea") && place >= 0) return;
  const isChanged = (input) => input.type !== "hidden" && input.value !== input.defaultValue;
  if ([...old.querySelectorAll("input")].some(isChanged)) return;
  if (old.isEqualNode(next)) return;
  old.replaceWith(next);
  if (place >= 0) next.querySelectorAll(FOCUSABLE)[place]?.focus();
};

const add = (next, container, atStart) => {
  const followsEnd = container.scrollTop + container.clientHeight >= container.scrollHeight - 4;
  if (atStart) container.prepend(next);
  else container.append(next);
  while (container.children.length > Number(container.dataset.max ?? Infinity)) {
    (atStart ? container.lastElementChild : container.firstElementChild).remove();
  }
  if (!atStart && followsEnd) container.scrollTop = container.scrollHeight;
};

// Removes what is not named, and moves only what is in another place: a video that is moved stops.
const arrange = (container, order) => {
  const named = order.map((id) => document.getElementById(id)).filter((each) => each?.parentElement === container);
  // The head of a table has no id.
  for (const each of [...container.children]) if (each.id && !named.includes(each)) each.remove();
  let place = container.querySelector(":scope > [id]");
  for (const each of named) {
    if (each === place) place = place.nextElementSibling;
    else container.insertBefore(each, place);
  }
};

const apply = ({ id, html, in: container, at, order }) => {
  if (order) return arrange(document.getElementById(container), order);
  const old = document.getElementById(id);
  if (html === "") return old?.remove();
  const next = element(html);
  localTimes(next);
  loadMedia(next);
  if (old !== null) replace(old, next);
  else if (container) add(next, document.getElementById(container), at === "start");
  if (next.dataset.title) document.title = next.dataset.title;
  document.getElementById("list")?.removeAttribute("hidden");
  document.getElementById("empty")?.remove();
};

const follow = (root) => {
  const source = new EventSource(root.dataset.stream);
  source.onmessage = ({ data }) => apply(JSON.parse(data));
  source.addEventListener("ended", () => source.close());
};

const addCopyButton = (pre) => {
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.className = "copy";
  button.type = "button";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(pre.textContent);
    button.textContent = "Copied";
  });
  pre.before(button);
};

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

localTimes(document);
document.querySelectorAll("[data-stream]").forEach(follow);
if (navigator.clipboard) document.querySelectorAll("pre[data-copy]").forEach(addCopyButton);
loadMedia(document);
document.querySelectorAll("[data-sync]").forEach(synchronize);
