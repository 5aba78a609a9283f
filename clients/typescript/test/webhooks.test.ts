import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import test from "node:test";

import { verifyWebhook, WebhookVerificationError } from "../src/index.js";

const KEY = Buffer.from("0123456789abcdef0123456789abcdef");
const SECRET = `whsec_${KEY.toString("base64")}`;
const BODY = JSON.stringify({ type: "execution.succeeded", timestamp: "2026-11-22T09:30:00Z", data: { status: "succeeded" } });

function signed(body: string, seconds = Date.now() / 1000): Record<string, string> {
  const timestamp = String(Math.floor(seconds));
  const signature = createHmac("sha256", KEY).update(`message-1.${timestamp}.${body}`).digest("base64");
  return { "webhook-id": "message-1", "webhook-timestamp": timestamp, "webhook-signature": `v1,AAAA v1,${signature}` };
}

test("a valid signature returns the body", async () => {
  assert.equal((await verifyWebhook(SECRET, signed(BODY), BODY)).type, "execution.succeeded");
  const webhook = await verifyWebhook(SECRET, new Headers(signed(BODY)), BODY);
  assert.equal(webhook.type === "execution.succeeded" && webhook.data.status, "succeeded");
});

test("a changed body, another secret, an old timestamp and a missing header are refused", async () => {
  const refused: [string, Record<string, string>, string][] = [
    [SECRET, signed(BODY), BODY.replace("succeeded", "failed")],
    [`whsec_${Buffer.from("other").toString("base64")}`, signed(BODY), BODY],
    [SECRET, signed(BODY, Date.now() / 1000 - 301), BODY],
    [SECRET, signed(BODY, Date.now() / 1000 + 301), BODY],
    [SECRET, { ...signed(BODY), "webhook-timestamp": "soon" }, BODY],
    [SECRET, { "webhook-id": "message-1" }, BODY],
    ["whsec_%", signed(BODY), BODY],
  ];
  for (const [secret, headers, body] of refused) {
    await assert.rejects(verifyWebhook(secret, headers, body), WebhookVerificationError);
  }
});
