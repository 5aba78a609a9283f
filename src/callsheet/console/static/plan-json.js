// Where a position is in JSON that is being written, and may be incomplete. No page is touched here.

// Reads up to `end`: the open objects and lists, and the token that is open there, with `from` at its first letter.
// A text ends with its line at the latest, so that an open one does not swallow the rest.
const scan = (text, start, end) => {
  const frames = [];
  const top = () => frames.at(-1);
  const take = (value) => {
    const frame = top();
    if (frame === undefined) return;
    if (frame.step === "key") Object.assign(frame, { key: value, step: "colon" });
    else if (frame.step === "value") {
      frame.members.set(frame.key, value);
      frame.step = "done";
    }
  };
  for (let at = start; at < end; at++) {
    const letter = text[at];
    if (letter === '"') {
      const [whole, closed] = /^"(?:[^"\\\n]|\\.)*("?)/.exec(text.slice(at, end));
      if (!closed && at + whole.length === end) return { frames, from: at + 1, isText: true };
      take(whole.slice(1, closed ? -1 : undefined));
      at += whole.length - 1;
    } else if (letter === "{") frames.push({ start: at, step: "key", members: new Map() });
    else if (letter === "[") frames.push({ start: at, step: "value", isList: true, members: new Map() });
    else if (letter === "}" || letter === "]") {
      if (frames.length <= 1) return { frames, from: end, isOver: true };
      frames.pop();
      take(null);
    } else if (letter === ",") Object.assign(top() ?? {}, { key: undefined, step: top()?.isList ? "value" : "key" });
    else if (letter === ":") Object.assign(top() ?? {}, { step: "value" });
    else if (/[\w.+-]/.test(letter)) {
      const [word] = /^[\w.+-]+/.exec(text.slice(at, end));
      if (at + word.length === end) return { frames, from: at, isText: false };
      take(word);
      at += word.length - 1;
    }
  }
  return { frames, from: end, isText: false };
};

// The members of the object that begins at `start`, also those after the token that is being typed.
const membersOf = (text, start, from, position, isText) => {
  const rest = text.slice(position).replace(isText ? /^"/ : /^(?!)/, "");
  const whole = text.slice(0, isText ? from - 1 : from) + rest;
  const { frames } = scan(`${whole.slice(start)}}`, 0, whole.length - start);
  const found = frames[0]?.members ?? new Map();
  if (["colon", "value"].includes(frames[0]?.step)) found.set(frames[0].key, null);
  return found;
};

// Returns null, or { path, isKey, from, isText, used, operation }: the steps to the place, "[]" for an item of a list;
// whether a name is typed there; the other names of its object; the operation of the job around it.
export const placeIn = (text, position) => {
  const { frames, from, isText, isOver } = scan(text, 0, position);
  const last = frames.at(-1);
  if (isOver || last === undefined || !["key", "value"].includes(last.step)) return null;
  const isKey = last.step === "key";
  const steps = frames.map((frame) => (frame.isList ? "[]" : frame.key));
  const path = isKey ? steps.slice(0, -1) : steps;
  const members = (frame) => membersOf(text, frame.start, from, position, isText);
  const job = frames.find((frame, index) => !frame.isList && steps[index - 1] === "[]" && steps[index - 2] === "jobs");
  const operation = job ? members(job).get("operation") : null;
  return { path, isKey, from, isText, used: isKey ? new Set(members(last).keys()) : new Set(), operation };
};
