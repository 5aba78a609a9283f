import type { components } from "./api.js";

type Schemas = components["schemas"];

/** The body of a webhook about the end of an execution: a union by `type`. */
export type ExecutionWebhook = Schemas["ExecutionWebhook"];

/** The body of any webhook: a union by `type`. A `callbackUrl` receives only the end of its execution. */
export type Webhook =
  | ExecutionWebhook
  | Schemas["EventWebhook"]
  | Schemas["AdActionWebhook"]
  | Schemas["AlertWebhook"]
  | Schemas["EndpointTest"];

/** The webhook was not sent by this server, or long ago. */
export class WebhookVerificationError extends Error {
  override readonly name = "WebhookVerificationError";
}

/** Headers of a request: those of `fetch`, or an object as node has it. */
export type WebhookHeaders = Headers | Record<string, string | string[] | undefined>;

/**
 * Verifies the signature of a webhook (Standard Webhooks) and returns its body.
 *
 * `secret` is the output of `callsheet webhooks secret`, or the secret of an endpoint; `body` is the raw body. The
 * timestamp may differ by `toleranceSeconds` from the clock. A duplicate delivery has the same header `webhook-id`.
 */
export async function verifyWebhook(
  secret: string,
  headers: WebhookHeaders,
  body: string,
  toleranceSeconds = 300,
): Promise<Webhook> {
  const [id, timestamp, signatures] = ["id", "timestamp", "signature"].map((name) => header(headers, `webhook-${name}`));
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= toleranceSeconds)) {
    throw new WebhookVerificationError(`The timestamp of the webhook is not recent: ${timestamp}`);
  }
  const key = await crypto.subtle.importKey(
    "raw",
    decodeBase64(secret.replace(/^whsec_/, "")),
    { name: "HMAC", hash: "SHA-256" },
    false,
    ["verify"],
  );
  const signed = new TextEncoder().encode(`${id}.${timestamp}.${body}`);
  for (const signature of (signatures ?? "").split(" ")) {
    const [version, value] = signature.split(",");
    // `verify` compares in constant time.
    if (version === "v1" && value && (await crypto.subtle.verify("HMAC", key, decodeBase64(value), signed))) {
      return JSON.parse(body) as Webhook;
    }
  }
  throw new WebhookVerificationError("The signature of the webhook is wrong.");
}

function header(headers: WebhookHeaders, name: string): string {
  const value = headers instanceof Headers ? headers.get(name) : headers[name];
  if (typeof value !== "string") {
    throw new WebhookVerificationError(`The webhook has no header '${name}'.`);
  }
  return value;
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw new WebhookVerificationError("The secret or a signature is not valid base64.");
  }
}
