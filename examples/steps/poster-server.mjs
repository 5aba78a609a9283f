// An endpoint in Node.js, without packages: node examples/steps/poster-server.mjs 8090
// It checks the signature, answers 202 with a URL that is polled, and serves the file that it made.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const secret = Buffer.from((process.env.POSTER_SECRET ?? "whsec_Y2FsbHNoZWV0LWV4YW1wbGUtc2VjcmV0").slice(6), "base64");
const jobs = new Map();

function isSigned(headers, body) {
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "0";
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const expected = createHmac("sha256", secret).update(`${id}.${timestamp}.${body}`).digest();
  return (headers["webhook-signature"] ?? "").split(" ").some((each) => {
    const given = Buffer.from(each.replace(/^v1,/, ""), "base64");
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

function draw(title) {
  const text = title.replace(/[<>&]/g, (c) => `&#${c.charCodeAt(0)};`);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360"><rect width="640" height="360" fill="#17324d"/>
<text x="320" y="190" fill="white" font-size="40" text-anchor="middle">${text}</text></svg>\n`;
}

function submit(request) {
  // The same key again is the same job: its worker may have died, or the answer was lost.
  const key = request.idempotencyKey;
  if (!jobs.has(key)) jobs.set(key, { progress: 0, title: request.params.title });
  return [202, { Location: `/posters/${key}`, "Retry-After": "0.1" }, ""];
}

function status(job) {
  job.progress = Math.min(job.progress + 0.5, 1);
  const answer =
    job.progress < 1
      ? { status: "running", progress: job.progress, message: "drawing" }
      : { result: { title: job.title }, files: [{ url: `/files/${job.key}.svg`, name: "poster.svg" }] };
  return [200, { "Content-Type": "application/json", "Retry-After": "0.1" }, JSON.stringify(answer)];
}

function respond(method, path, headers, body) {
  const file = path.match(/^\/files\/([\w-]+)\.svg$/);
  if (file && jobs.has(file[1])) return [200, { "Content-Type": "image/svg+xml" }, draw(jobs.get(file[1]).title)];
  if (!isSigned(headers, body)) return [401, {}, "the signature is wrong"];
  if (method === "POST" && path === "/posters") return submit(JSON.parse(body));
  const key = path.split("/")[2];
  if (!jobs.has(key)) return [404, {}, "there is no such job"];
  if (method === "DELETE") return jobs.delete(key), [204, {}, ""];
  return status(Object.assign(jobs.get(key), { key }));
}

const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const [code, headers, text] = respond(request.method, request.url, request.headers, body);
    response.writeHead(code, headers).end(text);
  });
});
server.listen(Number(process.argv[2] ?? 8090), "127.0.0.1", () => console.log(`port ${server.address().port}`));
