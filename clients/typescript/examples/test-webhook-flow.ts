/**
 * Test 1: the end of a task arrives by webhook of the provider.
 *
 *     node dist/examples/test-webhook-flow.js
 *
 * Needs a server whose provider can call it: CALLSHEET_PUBLIC_URL, and REPLICATE_API_TOKEN or `callsheet dev fakes`.
 */
import assert from "node:assert/strict";

import { Callsheet } from "../src/index.js";
import { verifyFiles } from "./verify-files.js";

const client = new Callsheet({
  url: process.env["CALLSHEET_URL"] ?? "http://127.0.0.1:8500",
  apiKey: process.env["CALLSHEET_API_KEY"],
});

// 1. Submit the execution.
const { executionId } = await client.submit({
  jobs: [
    {
      id: "test-gen",
      operation: "pipeline:generate",
      params: { modelId: "bytedance/seedance-1-pro", prompt: "A beautiful sunset over mountains", provider: "replicate" },
    },
  ],
});
console.log(`Submitted ${executionId}`);

// 2. Wait for the webhook of the provider.
let webhooks = 0;
for await (const event of client.watch(executionId, { signal: AbortSignal.timeout(300_000) })) {
  console.log(`${event.number} ${event.type} ${JSON.stringify(event.data)}`);
  if (event.type === "job.queued" && event.data.reason === "webhook received") webhooks++;
}
assert.equal(webhooks, 1, "the provider sent no webhook");

// 3. Verify the completion and the stored file.
const execution = await client.status(executionId);
assert.equal(execution.status, "succeeded");
assert.equal(execution.jobs[0]?.waitingStrategy, "webhook");
await verifyFiles(client, execution);

// 4. Show the final status.
console.log(`Final status: ${execution.status}, ${execution.artifacts.length} file(s)`);
