/** Properties of the types: this file compiles only if unions and lists are closed. */
import assert from "node:assert/strict";
import test from "node:test";

import type { components } from "../src/api.js";
import type { Event, ExecutionWebhook, JobErrorCode, Plan, RequestErrorCode, Submission, Webhook } from "../src/index.js";

type IsClosed<T extends string> = string extends T ? never : true;
const closed: [IsClosed<JobErrorCode>, IsClosed<RequestErrorCode>, IsClosed<Event["type"]>, IsClosed<Webhook["type"]>] =
  [true, true, true, true];

/** Requests need only the fields without a default. */
const plan: Plan = { jobs: [{ id: "a", operation: "probe" }] };
const submission: Submission = { executionPlan: plan };
const video: components["schemas"]["VideoCreateRequest"] = { model: "google/veo-3.1", prompt: "A paper boat" };

function textOf(event: Event): string {
  switch (event.type) {
    case "job.progress":
      return `${event.jobId} ${event.data.progress.toFixed(1)} ${event.data.message ?? ""}`;
    case "job.failed":
      return `${event.jobId} ${event.data.error.code satisfies JobErrorCode}`;
    case "job.running":
      return `${event.jobId} on ${event.data.worker}`;
    case "execution.queued":
      return `${event.jobId satisfies null} ${event.data.jobs} jobs`;
    default:
      // @ts-expect-error: other events have no progress.
      return String(event.data.progress);
  }
}

function statusOf(webhook: ExecutionWebhook): "succeeded" | "failed" | "cancelled" {
  return webhook.type === "execution.failed" ? (webhook.data.status satisfies "failed") : webhook.data.status;
}

function factOf(webhook: Webhook): string | undefined {
  switch (webhook.type) {
    case "job.failed":
      return webhook.data.event?.error.message;
    case "alert.queue_failing":
    case "webhook.test":
      return webhook.text;
    case "execution.failed":
      return webhook.data.status satisfies "failed";
    default:
      return "executionId" in webhook.data ? String(webhook.data.executionId) : undefined;
  }
}

test("events are narrowed by their type", () => {
  const event: Event = { number: 1, type: "execution.queued", jobId: null, data: { jobs: 2 }, at: "2026-11-22T09:30:00Z" };
  assert.equal(textOf(event), "null 2 jobs");
  assert.deepEqual([closed.length, submission.executionPlan.jobs.length, video.prompt], [4, 1, "A paper boat"]);
  assert.deepEqual([typeof statusOf, typeof factOf], ["function", "function"]);
});
