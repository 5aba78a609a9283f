/** The client against the server at CALLSHEET_URL, which has a worker. */
import assert from "node:assert/strict";
import { createServer, request as httpRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import test, { after, before } from "node:test";

import { Callsheet, RequestError, type Event, type Plan } from "../src/index.js";

const url = process.env["CALLSHEET_URL"] ?? "http://127.0.0.1:8500";
const client = new Callsheet({ url, apiKey: process.env["CALLSHEET_API_KEY"] });
const signal = AbortSignal.timeout(120_000);
const PLAN: Plan = {
  name: "typescript",
  jobs: [
    { id: "card", operation: "render", params: { scenes: [{ color: "black", duration: 0.2 }] } },
    { id: "probe", operation: "probe", params: { src: "${card.video}" } },
  ],
};

/** A proxy that cuts each event stream after its first event, as long as there are `cuts`. */
let proxy: Server;
let cuts = 0;
const resumedAfter: (string | undefined)[] = [];

before(async () => {
  proxy = createServer((incoming, outgoing) => {
    const isStream = incoming.url?.endsWith("/events") ?? false;
    if (isStream) resumedAfter.push(incoming.headers["last-event-id"] as string | undefined);
    const forwarded = httpRequest(url + incoming.url, { method: incoming.method ?? "GET", headers: incoming.headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      if (!isStream || cuts === 0) {
        response.pipe(outgoing);
        return;
      }
      cuts--;
      let seen = "";
      response.on("data", (chunk: Buffer) => {
        seen += chunk.toString();
        const event = /id: .*?\n\n/s.exec(seen);
        if (event !== null) {
          // One whole event, and a piece of the next one.
          response.destroy();
          outgoing.write(`${event[0]}id: 99\nevent: job.p`, () => outgoing.destroy());
        }
      });
      response.on("error", () => outgoing.destroy());
    });
    forwarded.on("error", () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
});

after(() => {
  proxy.closeAllConnections();
  proxy.close();
});

test("a plan is submitted, followed to its end, listed and downloaded", async () => {
  const receipt = await client.submit({ executionPlan: PLAN, metadata: { order: 4711 } });
  const events: Event[] = [];
  for await (const event of client.watch(receipt.executionId, { signal })) events.push(event);
  const execution = await client.status(receipt.executionId);

  assert.equal(execution.status, "succeeded");
  assert.deepEqual(events.map((event) => event.number), Array.from({ length: execution.lastEvent }, (_, index) => index + 1));
  assert.equal(events.at(-1)?.type, "execution.succeeded");
  const artifact = execution.artifacts[0];
  assert.ok(artifact);
  assert.equal((await (await client.download(artifact.artifactId)).arrayBuffer()).byteLength, artifact.size);
  const found = [];
  for await (const each of client.listExecutions({ status: ["succeeded"], search: receipt.executionId })) found.push(each);
  assert.deepEqual(found.map((each) => each.executionId), [receipt.executionId]);
});

test("a stream that is cut is resumed without a gap and without a repetition", async () => {
  const { port } = proxy.address() as AddressInfo;
  const cutOff = new Callsheet({ url: `http://127.0.0.1:${port}`, apiKey: process.env["CALLSHEET_API_KEY"] });
  const { executionId } = await client.submit(PLAN);
  await client.wait(executionId, { signal });
  cuts = 2;
  resumedAfter.length = 0;

  const numbers: number[] = [];
  for await (const event of cutOff.watch(executionId, { signal })) numbers.push(event.number);

  const { lastEvent } = await client.status(executionId);
  assert.deepEqual(numbers, Array.from({ length: lastEvent }, (_, index) => index + 1));
  assert.deepEqual(resumedAfter, ["0", "1", "2"]);
});

test("the same idempotency key returns the same execution", async () => {
  const idempotencyKey = crypto.randomUUID();
  const first = await client.submit(PLAN, { idempotencyKey });
  const second = await client.submit(PLAN, { idempotencyKey });

  assert.equal(first.executionId, second.executionId);
  assert.equal((await client.wait(first.executionId, { signal })).status, "succeeded");
});

test("an uploaded file is a media source of a plan", async () => {
  const picture = Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "base64",
  );
  const source = await client.upload(new Blob([picture]), "dot.png");
  const again = await client.upload(new Blob([picture]), "dot.png");
  const { executionId } = await client.submit({ jobs: [{ id: "probe", operation: "probe", params: { src: source } }] });

  assert.equal(source, again);
  assert.equal((await client.wait(executionId, { signal })).status, "succeeded");
});

test("a refused plan is an error with all its problems", async () => {
  const plan: Plan = { jobs: [{ id: "a", operation: "rendr" }, { id: "b", operation: "probe", params: {} }] };

  const error: unknown = await client.submit(plan).catch((refused: unknown) => refused);

  assert.ok(error instanceof RequestError);
  assert.deepEqual([error.status, error.code, error.isTemporary], [422, "plan_refused", false]);
  assert.deepEqual(error.problems.map((problem) => problem.code), ["unknown_operation", "missing"]);
});

test("a queued execution is cancelled and retried", async () => {
  const { executionId } = await client.submit({
    jobs: [{ id: "card", operation: "render", params: { scenes: [{ color: "black", duration: 60 }] } }],
  });
  await client.cancel(executionId);
  const cancelled = await client.wait(executionId, { signal });
  assert.equal(cancelled.status, "cancelled");
  assert.deepEqual(cancelled.actions, ["retry"]);

  await client.retry(executionId);
  await client.cancel(executionId);
  assert.equal((await client.wait(executionId, { signal })).status, "cancelled");
});
