import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import type { Callsheet, Execution } from "../src/index.js";

/** Downloads every file of an execution and compares it with its size and SHA-256. */
export async function verifyFiles(client: Callsheet, execution: Execution): Promise<void> {
  assert.ok(execution.artifacts.length > 0, "the execution has no files");
  for (const artifact of execution.artifacts) {
    const data = new Uint8Array(await (await client.download(artifact.artifactId)).arrayBuffer());
    assert.equal(data.length, artifact.size);
    assert.equal(createHash("sha256").update(data).digest("hex"), artifact.sha256);
    console.log(`${artifact.name}: ${artifact.size} bytes, ${artifact.mediaType}`);
  }
}
