/**
 * Test 2: the end of a task is found by polling, with exponential backoff.
 *
 *     node dist/examples/test-polling-flow.js
 *
 * Needs GOOGLE_GENERATIVE_AI_API_KEY or `callsheet dev fakes`.
 */
import assert from "node:assert/strict";

import { Callsheet, type Job } from "../src/index.js";
import { verifyFiles } from "./verify-files.js";

const client = new Callsheet({
  url: process.env["CALLSHEET_URL"] ?? "http://127.0.0.1:8500",
  apiKey: process.env["CALLSHEET_API_KEY"],
});

// 1. Submit the execution.
const { executionId } = await client.submit({
  jobs: [
    {
      id: "test-poll",
      operation: "pipeline:generate",
      params: {
        modelId: process.env["MODEL"] ?? "google/veo-3.1",
        prompt: "A beautiful sunset over mountains",
        waiting: "polling",
      },
    },
  ],
});
console.log(`Submitted ${executionId}`);

// 2. Monitor the polls: the time of the next one, each time a poll was made.
const nextPolls = new Map<number, number>();
const deadline = Date.now() + 300_000;
let job: Job | undefined;
do {
  assert.ok(Date.now() < deadline, "the execution did not end in 5 minutes");
  await new Promise((resolve) => setTimeout(resolve, 50));
  job = (await client.status(executionId)).jobs[0];
  assert.ok(job);
  if (job.status === "waiting" && job.nextPollAt !== null && !nextPolls.has(job.pollAttempts)) {
    nextPolls.set(job.pollAttempts, Date.parse(job.nextPollAt));
    console.log(`${job.pollAttempts} polls, next at ${job.nextPollAt}, status ${job.providerStatus}`);
  }
} while (!["succeeded", "failed", "cancelled"].includes(job.status));

// 3. Verify the exponential backoff: the pauses grow.
const times = [...nextPolls.values()];
const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
console.log(`Pauses between polls in ms: ${pauses.join(", ")}`);
assert.ok(pauses.length >= 2, "too few polls were seen");
assert.ok((pauses.at(-1) ?? 0) > (pauses[0] ?? 0), "the pauses do not grow");

// 4. Verify the completion and the stored file.
const execution = await client.wait(executionId);
assert.equal(execution.status, "succeeded");
assert.equal(execution.jobs[0]?.waitingStrategy, "polling");
await verifyFiles(client, execution);
console.log(`Final status: ${execution.status}, ${execution.artifacts.length} file(s)`);
