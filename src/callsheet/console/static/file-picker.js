// Chooses an earlier upload or artifact for a field of a form, and says what a file is before a job is sent.

const PAGE = 30;

const get = async (path) => {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail ?? `The server answered ${response.status}.`);
  return body;
};

const size = (bytes) => {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let [number, unit] = [bytes, 0];
  for (; number >= 1000 && unit < units.length - 1; unit++) number /= 1000;
  return `${unit ? number.toFixed(1) : number} ${units[unit]}`;
};

export const words = (probe) =>
  [
    probe.duration != null && `${probe.duration.toFixed(1)} s`,
    probe.width != null && `${probe.width}×${probe.height}`,
    probe.fps != null && `${+probe.fps.toFixed(2)} frames per second`,
    probe.videoCodec,
    probe.audioCodec && `${probe.audioCodec}${probe.audioChannels ? `, ${probe.audioChannels} channels` : ""}`,
  ]
    .filter(Boolean)
    .join(" · ");

// Says what the file of an upload is.
export const showUpload = async (facts, { id, mediaType, size: bytes }) => {
  const start = [mediaType, size(bytes)].filter(Boolean).join(" · ");
  facts.value = start;
  try {
    const { probe, tooLarge } = await get(`/api/uploads/${id}/probe`);
    if (tooLarge) facts.value = `${start} · too large to be looked at before the job`;
    else facts.value = probe ? [start, words(probe)].filter(Boolean).join(" · ") : `${start} · not a media file`;
  } catch (error) {
    facts.value = `${start} · ${error.message}`;
  }
};

const uploads = {
  path: "/api/uploads",
  items: ({ uploads: found }) => found.filter(({ complete }) => complete),
  name: ({ mediaType, size: bytes, sha256 }) => `Upload · ${mediaType ?? "unknown"} · ${size(bytes)} · ${sha256.slice(0, 8)}`,
  source: ({ source }) => source,
  show: showUpload,
};
const artifacts = {
  path: "/api/artifacts",
  items: ({ artifacts: found }) => found,
  name: ({ name, jobId, mediaType, size: bytes }) => `${name} of ${jobId} · ${mediaType} · ${size(bytes)}`,
  source: ({ artifactId }) => `artifact:${artifactId}`,
  show: (facts, { name, mediaType, size: bytes, probe }) => {
    facts.value = [name, mediaType, size(bytes), probe && words(probe)].filter(Boolean).join(" · ");
  },
};

// Fills the list of a picker, page by page.
const fill = async (picker, kind, choose) => {
  const list = picker.querySelector("ul");
  const search = picker.querySelector("input");
  const state = picker.querySelector("[role=status]");
  const more = picker.querySelector("button.more");
  list.replaceChildren();
  let cursor = null;
  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    for (const item of list.children) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  };
  const next = async () => {
    more.hidden = true;
    try {
      const page = await get(`${kind.path}?limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
      for (const record of kind.items(page)) {
        const button = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: kind.name(record) });
        button.addEventListener("click", () => choose(kind, record));
        const item = document.createElement("li");
        item.append(button);
        list.append(item);
      }
      cursor = page.nextCursor;
      more.hidden = cursor === null;
      state.textContent = list.children.length ? "" : "There is none.";
      filter();
    } catch (error) {
      state.textContent = error.message;
    }
  };
  search.oninput = filter;
  more.onclick = next;
  await next();
};

export const preparePicker = (area, source, facts) => {
  const picker = area.querySelector("details.picker");
  const choose = (kind, record) => {
    source.value = kind.source(record);
    picker.open = false;
    picker.querySelector("summary").focus();
    kind.show(facts, record);
  };
  const kinds = picker.querySelector("select");
  const refill = () => fill(picker, kinds.value === "uploads" ? uploads : artifacts, choose);
  picker.addEventListener("toggle", () => picker.open && refill());
  kinds.addEventListener("change", refill);
  // Enter in the search would send the form.
  picker.querySelector("input").addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  // What is typed by hand is another file.
  source.addEventListener("input", () => (facts.value = ""));
};
