// Updates open pages from event streams. Without JavaScript the pages work too, but show the state at load time.

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
  const response = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) return;
  const loaded = new DOMParser().parseFromString(await response.text(), "text/html");
  document.title = loaded.title;
  for (const old of document.querySelectorAll("[data-live]")) {
    const part = loaded.querySelector(`[data-live="${old.dataset.live}"]`);
    // URLs of files have a new signature at each load. Files are replaced only if they changed, so that a playing video
    // does not restart.
    if (part === null || (part.dataset.version !== undefined && part.dataset.version === old.dataset.version)) continue;
    localTimes(part);
    if (!old.isEqualNode(part) && !old.contains(document.activeElement)) old.replaceWith(part);
  }
};

const followExecution = (root) => {
  const source = new EventSource(root.dataset.watch);
  let waiting = false;
  const scheduleRefresh = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(async () => {
      waiting = false;
      await refresh().catch(() => {});
    }, 400);
  };
  source.onmessage = scheduleRefresh;
  source.addEventListener("ended", () => {
    source.close();
    document.activeElement?.blur();
    scheduleRefresh();
  });
};

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

localTimes(document);
document.querySelectorAll("[data-stream]").forEach(followList);
document.querySelectorAll("[data-watch]").forEach(followExecution);
