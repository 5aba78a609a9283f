// Uploads a file in the way of POST /api/uploads: announce its digest, then send what the server does not have.

const TRIES = 5;
const PAUSE = 2000;

const digest = (file, report) =>
  new Promise((resolve, reject) => {
    const worker = new Worker("/static/sha256.js");
    worker.onmessage = ({ data }) => {
      if (data.done !== undefined) return report("reading", data.done);
      worker.terminate();
      if (data.digest) resolve(data.digest);
      else reject(new Error("The browser cannot read it."));
    };
    worker.onerror = () => reject(new Error("The browser cannot read it."));
    worker.postMessage(file);
  });

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE));

const answer = (status, text) => {
  let body = {};
  try {
    body = JSON.parse(text);
  } catch {
    // Not from the server but from a proxy, so the status says what is wrong.
  }
  if (status < 300) return body;
  throw Object.assign(new Error(body.errors?.[0]?.message ?? body.detail ?? `The server answered ${status}.`), { status });
};

const request = async (method, path, token, data) => {
  const response = await fetch(path, {
    method,
    headers: { "Content-Type": "application/json", "X-CSRF-Token": token },
    body: data && JSON.stringify(data),
  });
  return answer(response.status, await response.text());
};

// Not by fetch, which does not report the progress of what is sent.
const sendRest = (file, record, token, report) =>
  new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("PATCH", `/api/uploads/${record.id}`);
    sending.setRequestHeader("Content-Type", "application/octet-stream");
    sending.setRequestHeader("Upload-Offset", record.offset);
    sending.setRequestHeader("X-CSRF-Token", token);
    sending.upload.onprogress = ({ loaded }) => report("uploading", (record.offset + loaded) / file.size);
    sending.onerror = () => reject(new Error("The connection was lost."));
    sending.onload = () => {
      try {
        resolve(answer(sending.status, sending.responseText));
      } catch (error) {
        reject(error);
      }
    };
    sending.send(file.slice(record.offset));
  });

const isLasting = ({ status }) => status !== undefined && status < 500 && status !== 408 && status !== 409;

export const upload = async (file, token, report) => {
  const sha256 = await digest(file, report);
  let record = await request("POST", "/api/uploads", token, { sha256, size: file.size, name: file.name });
  for (let tries = 1; !record.complete; tries++) {
    try {
      record = await sendRest(file, record, token, report);
    } catch (error) {
      if (tries === TRIES || isLasting(error)) throw error;
      await pause();
      record = await request("GET", `/api/uploads/${record.id}`, token).catch(() => record);
    }
  }
  return record;
};
