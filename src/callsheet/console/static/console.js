// Keeps an open page up to date. Without it the pages still work, and show how things stood when they were loaded.

const element = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
};

const localTimes = (root) => {
  for (const time of root.querySelectorAll("time:not([data-local])")) {
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    time.dataset.local = "";
  }
};

const followList = (rows) => {
  const source = new EventSource(rows.dataset.stream);
  source.onmessage = ({ data }) => {
    const { id, html } = JSON.parse(data);
    const row = element(`<table><tbody>${html}</tbody></table>`).querySelector("tr");
    localTimes(row);
    const old = document.getElementById(`e-${id}`);
    if (old === null) rows.prepend(row);
    else if (!old.isEqualNode(row)) {
      const focused = old.contains(document.activeElement);
      old.replaceWith(row);
      if (focused) row.querySelector("a").focus();
    }
    document.getElementById("list").hidden = false;
    document.getElementById("empty")?.remove();
  };
};

const refresh = async () => {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = fresh.title;
  for (const old of document.querySelectorAll("[data-live]")) {
    const part = fresh.querySelector(`[data-live="${old.dataset.live}"]`);
    // Links to files are signed anew each time; a film that plays must not begin again because of that.
    if (part === null || (part.dataset.version !== undefined && part.dataset.version === old.dataset.version)) continue;
    localTimes(part);
    if (!old.isEqualNode(part) && !old.contains(document.activeElement)) old.replaceWith(part);
  }
};

const followExecution = (root) => {
  const source = new EventSource(root.dataset.watch);
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(async () => {
      waiting = false;
      await refresh().catch(() => {});
    }, 400);
  };
  source.onmessage = later;
  source.addEventListener("ended", () => {
    source.close();
    document.activeElement?.blur();
    later();
  });
};

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

localTimes(document);
document.querySelectorAll("[data-stream]").forEach(followList);
document.querySelectorAll("[data-watch]").forEach(followExecution);
