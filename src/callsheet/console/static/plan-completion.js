// What can stand at a place of a plan in YAML or JSON, by the JSON Schema of plans. No page is touched here.

import { placeIn } from "/static/plan-json.js";

const LINE = /^( *)((?:- +)*)(?:(["']?)([A-Za-z_$][\w-]*)\3 *:(?: +(.*))?)?/;
const MOST = 60;
const MOST_STEPS = 20;

// One line: the columns of its dashes, and its key with its column and value.
const parsed = (line) => {
  const [all, space, dashes, , key, value = ""] = LINE.exec(line);
  if (!dashes && key === undefined) return null;
  const columns = [...dashes.matchAll(/-/g)].map(({ index }) => space.length + index);
  return { columns, column: space.length + dashes.length, key, value: value.trim(), all };
};

const isText = (value) => /^[|>]/.test(value);

// The steps to a place: keys, and "[]" for an item of a list, each with its column and line.
const placeAt = (lines, number, { columns, column }) => {
  let frames = [];
  let textColumn = Infinity;
  const enter = (line, at) => {
    for (const dash of line.columns) {
      frames = frames.filter((frame) => frame.column < dash || (frame.column === dash && frame.step !== "[]"));
      frames.push({ column: dash, step: "[]", line: at });
    }
    frames = frames.filter((frame) => frame.column < line.column);
  };
  for (let at = 0; at < number; at++) {
    if (lines[at].trim() === "" || /^ *#/.test(lines[at])) continue;
    if (lines[at].search(/\S/) > textColumn) continue;
    textColumn = Infinity;
    const line = parsed(lines[at]);
    if (line === null) continue;
    enter(line, at);
    if (line.key === undefined) continue;
    frames.push({ column: line.column, step: line.key, line: at });
    if (isText(line.value)) textColumn = line.column;
  }
  if (column > textColumn) return null;
  enter({ columns, column }, number);
  return frames;
};

// The operation of the job around a place; it may also stand below the place.
const operationOf = (lines, frames) => {
  const job = frames.find(({ step }, index) => step === "[]" && frames[index - 1]?.step === "jobs");
  if (!job) return null;
  for (let at = job.line; at < lines.length; at++) {
    const line = parsed(lines[at]);
    if (line === null) continue;
    const isOther = at > job.line && (line.columns.includes(job.column) || line.column <= job.column);
    if (isOther) return null;
    if (line.key === "operation" && line.column === job.column + 2) return line.value.replace(/["']| +#.*$/g, "");
  }
  return null;
};

const resolve = (schema, root) => {
  let found = schema;
  for (let steps = 0; found.$ref && steps < MOST_STEPS; steps++) {
    const { $ref, ...around } = found;
    found = { ...root.$defs[$ref.split("/").pop()], ...around };
  }
  return found;
};

// All schemas of which a value may have one.
const alternatives = (schema, root, depth = 0) => {
  const found = resolve(schema, root);
  if (depth > 5) return [found];
  const parts = [...(found.anyOf ?? []), ...(found.oneOf ?? [])];
  return [found, ...parts.flatMap((part) => alternatives(part, root, depth + 1))];
};

const next = (schema, step, operation, root) => {
  if (step === "[]") return schema.items ? alternatives(schema.items, root) : [];
  if (step === "params" && schema.properties?.operation) {
    const rule = schema.allOf?.find((each) => each.if.properties.operation.enum.includes(operation));
    return rule ? alternatives(rule.then.properties.params, root) : [];
  }
  const more = schema.additionalProperties;
  const found = schema.properties?.[step] ?? (typeof more === "object" ? more : null);
  return found ? alternatives(found, root) : [];
};

const schemasAt = (root, path, operation) => {
  let found = alternatives(path[0] === "executionPlan" ? root.else : root.then, root);
  for (const step of path) found = found.flatMap((schema) => next(schema, step, operation, root));
  return found;
};

const valuesOf = (schemas) => {
  const options = new Map();
  for (const schema of schemas) {
    for (const value of schema.enum ?? []) options.set(String(value), "");
    if (schema.const !== undefined && schema.const !== null) options.set(String(schema.const), schema.description ?? "");
    if (schema.type === "boolean") ["true", "false"].forEach((value) => options.set(value, ""));
  }
  return options;
};

const keysOf = (schemas) => {
  const options = new Map();
  for (const schema of schemas) {
    for (const [name, about] of Object.entries(schema.properties ?? {})) {
      const needed = schema.required?.includes(name) ? "required. " : "";
      if (!options.has(name)) options.set(name, needed + (about.description ?? about.title ?? ""));
    }
  }
  return options;
};

// The keys of the object around a place.
const usedKeys = (lines, number, column) => {
  const used = new Set();
  for (const step of [-1, 1]) {
    for (let at = number + step; at >= 0 && at < lines.length; at += step) {
      const line = parsed(lines[at]);
      if (line === null) continue;
      const startsItem = line.columns.length > 0 && line.column <= column;
      if (line.column < column || (step === 1 && startsItem)) break;
      if (line.key !== undefined && line.column === column) used.add(line.key);
      if (startsItem) break;
    }
  }
  return used;
};

const matching = (options, typed, used = new Set()) => {
  const lower = typed.toLowerCase();
  const rank = ([name]) => (name.toLowerCase().startsWith(lower) ? 0 : 1);
  return [...options]
    .filter(([name]) => name.toLowerCase().includes(lower) && !used.has(name))
    .sort((a, b) => rank(a) - rank(b))
    .slice(0, MOST);
};

// Whether a value is a number or a truth value in JSON.
const isPlain = (schemas, name) =>
  schemas.some(
    (schema) =>
      (schema.type === "boolean" && ["true", "false"].includes(name)) ||
      [...(schema.enum ?? []), schema.const].some((value) => typeof value !== "string" && String(value) === name),
  );

const inJson = (text, position, root) => {
  const place = placeIn(text, position);
  if (place === null) return { from: position, options: [] };
  const { path, isKey, from, isText, used, operation } = place;
  const schemas = schemasAt(root, path, operation);
  const end = text[position] === '"' ? "" : '"';
  const begin = isText ? "" : '"';
  const written = (name) => {
    if (isKey) return `${begin}${name}${isText ? end : '"'}${isText && !end ? "" : ": "}`;
    return isPlain(schemas, name) ? name : `${begin}${name}${isText ? end : '"'}`;
  };
  const found = matching(isKey ? keysOf(schemas) : valuesOf(schemas), text.slice(from, position), used);
  const fitting = found.filter(([name]) => isKey || !isText || !isPlain(schemas, name));
  return { from, options: fitting.map(([name, about]) => ({ insert: written(name), label: name, about })) };
};

// Returns { from, options: [{ insert, label, about }] }: what replaces the text from `from` to the position.
export const completions = (text, position, root) => {
  if (text.trimStart().startsWith("{")) return inJson(text, position, root);
  const lines = text.split("\n");
  const number = text.slice(0, position).split("\n").length - 1;
  const before = text.slice(text.lastIndexOf("\n", position - 1) + 1, position);
  const found = /^( *)((?:- +)*)(?:([A-Za-z_$][\w-]*) *: +)?([\w$./-]*)$/.exec(before);
  if (!found) return { from: position, options: [] };
  const [, space, dashes, key, typed] = found;
  const line = parsed(`${space}${dashes}x:`);
  const frames = placeAt(lines, number, line);
  if (frames === null) return { from: position, options: [] };
  const path = frames.map(({ step }) => step);
  const operation = operationOf(lines, frames);
  const from = position - typed.length;
  const values = (schemas) => matching(valuesOf(schemas), typed).map(([name, about]) => ({ insert: name, label: name, about }));
  if (key !== undefined) return { from, options: values(schemasAt(root, [...path, key], operation)) };
  const schemas = schemasAt(root, path, operation);
  const keys = matching(keysOf(schemas), typed, usedKeys(lines, number, line.column));
  const asKeys = keys.map(([name, about]) => ({ insert: `${name}: `, label: name, about }));
  return { from, options: asKeys.length || dashes === "" ? asKeys : values(schemas) };
};
