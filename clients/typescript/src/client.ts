import type { components, paths } from "./api.js";
import { errorOf, RequestError } from "./errors.js";
import { readMessages } from "./sse.js";

type Schemas = components["schemas"];
export type Plan = Schemas["Plan"];
export type Submission = Schemas["Submission"];
export type Receipt = Schemas["Receipt"];
export type Execution = Schemas["Execution"];
export type ExecutionSummary = Schemas["ExecutionSummary"];
export type Job = Schemas["Job"];
export type Artifact = Schemas["StoredArtifact"];
/** An event of an execution: a union by `type`, each with its own `data`. */
export type Event = Schemas["Event"];
export type JobErrorCode = Schemas["JobErrorRecord"]["code"];
export type ExecutionFilter = Omit<NonNullable<paths["/api/executions"]["get"]["parameters"]["query"]>, "cursor" | "limit">;

export interface ClientOptions {
  /** URL of the server. Default: `http://127.0.0.1:8500`. */
  url?: string;
  /** The key in `CALLSHEET_API_KEY` of the server. */
  apiKey?: string | undefined;
  fetch?: typeof fetch;
}

export interface WatchOptions {
  /** Only events with a greater number. */
  after?: number;
  /** Ends the iteration with the reason of the signal, such as that of `AbortSignal.timeout(60_000)`. */
  signal?: AbortSignal;
}

const ENDED: readonly string[] = ["execution.succeeded", "execution.failed", "execution.cancelled"];
const SUBMIT_DELAYS = [500, 1000, 2000];
const RECONNECT_DELAY = 500;
/** Milliseconds of failed reconnects after which the error is thrown. */
const RECONNECT_TIMEOUT = 60_000;
/** Milliseconds without data after which a stream is cut; the server sends a ping every 15 seconds. */
const SILENCE = 45_000;

/** Client of a Callsheet server. An error response is thrown as RequestError, with all its problems. */
export class Callsheet {
  readonly url: string;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof fetch;

  constructor(options: ClientOptions = {}) {
    this.url = (options.url ?? "http://127.0.0.1:8500").replace(/\/+$/, "");
    this.#headers = options.apiKey ? { Authorization: `Bearer ${options.apiKey}` } : {};
    this.#fetch = options.fetch ?? fetch;
  }

  /**
   * Submits a plan. The request has an idempotency key and is repeated when the connection breaks or the server is
   * busy, so the plan is stored once.
   */
  async submit(plan: Plan | Submission, options: { idempotencyKey?: string } = {}): Promise<Receipt> {
    const body = JSON.stringify("executionPlan" in plan ? plan : { executionPlan: plan });
    const headers = {
      "Content-Type": "application/json",
      "Idempotency-Key": options.idempotencyKey ?? `client-${crypto.randomUUID()}`,
    };
    for (const delay of SUBMIT_DELAYS) {
      try {
        return await this.#json("POST", "/api/executions", { body, headers });
      } catch (error) {
        throwUnlessTemporary(error);
        await sleep(delay);
      }
    }
    return this.#json("POST", "/api/executions", { body, headers });
  }

  /** Returns an execution with its jobs and artifacts. */
  status(executionId: string): Promise<Execution> {
    return this.#json("GET", `/api/executions/${executionId}`);
  }

  /**
   * Yields the events of an execution, each once and in order, until its end. A lost connection is resumed after the
   * last event, without a gap.
   */
  async *watch(executionId: string, options: WatchOptions = {}): AsyncGenerator<Event> {
    let after = options.after ?? 0;
    let disconnectedSince: number | null = null;
    for (;;) {
      try {
        for await (const event of this.#connection(executionId, after, options.signal)) {
          disconnectedSince = null;
          if (event.number <= after) continue;
          after = event.number;
          yield event;
        }
        const execution = await this.status(executionId);
        if (ENDED.includes(`execution.${execution.status}`) && execution.lastEvent <= after) return;
      } catch (error) {
        options.signal?.throwIfAborted();
        throwUnlessTemporary(error);
        disconnectedSince ??= Date.now();
        if (Date.now() - disconnectedSince > RECONNECT_TIMEOUT) throw error;
      }
      options.signal?.throwIfAborted();
      await sleep(RECONNECT_DELAY);
    }
  }

  /** Waits until an execution has ended and returns it. */
  async wait(executionId: string, options: { signal?: AbortSignal } = {}): Promise<Execution> {
    for await (const event of this.watch(executionId, options)) {
      void event;
    }
    return this.status(executionId);
  }

  /** Cancels an execution. Running jobs are stopped. */
  cancel(executionId: string): Promise<Execution> {
    return this.#json("POST", `/api/executions/${executionId}/cancel`);
  }

  /** Runs failed, cancelled and skipped jobs again. */
  retry(executionId: string, options: Schemas["RetryOptions"] = {}): Promise<Execution> {
    return this.#json("POST", `/api/executions/${executionId}/retry`, {
      body: JSON.stringify(options),
      headers: { "Content-Type": "application/json" },
    });
  }

  /** Yields executions, newest first, page by page. */
  async *listExecutions(filter: ExecutionFilter = {}): AsyncGenerator<ExecutionSummary> {
    let cursor: string | null = null;
    do {
      const query = new URLSearchParams();
      for (const [name, value] of Object.entries({ ...filter, cursor })) {
        for (const each of [value].flat()) {
          if (each !== null && each !== undefined) query.append(name, String(each));
        }
      }
      const page: Schemas["ExecutionPage"] = await this.#json("GET", `/api/executions?${query}`);
      yield* page.executions;
      cursor = page.nextCursor ?? null;
    } while (cursor !== null);
  }

  /** Uploads a file and returns the media source that names it in a plan. A file that the server has is not sent. */
  async upload(file: Blob, name: string): Promise<string> {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    let upload: Schemas["UploadRecord"] = await this.#json("POST", "/api/uploads", {
      body: JSON.stringify({ sha256, size: file.size, name }),
      headers: { "Content-Type": "application/json" },
    });
    const path = `/api/uploads/${upload.id}`;
    for (let attempts = 0; !upload.complete; attempts++) {
      try {
        upload = await this.#json("PATCH", path, {
          body: file.slice(upload.offset),
          headers: { "Upload-Offset": String(upload.offset) },
        });
      } catch (error) {
        if (attempts >= SUBMIT_DELAYS.length) throw error;
        throwUnlessTemporary(error);
        await sleep(SUBMIT_DELAYS[attempts] ?? 0);
        upload = await this.#json("GET", path);
      }
    }
    return upload.source;
  }

  /** Returns the response with the file of an artifact, from a new signed URL. */
  async download(artifactId: string): Promise<Response> {
    const artifact: Artifact = await this.#json("GET", `/api/artifacts/${artifactId}`);
    const url = new URL(artifact.url ?? "", this.url);
    // Files of the server come from the address that the other requests use.
    const response = await this.#fetch(url.pathname.startsWith("/files/") ? this.url + url.pathname + url.search : url);
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  async *#connection(executionId: string, after: number, signal?: AbortSignal): AsyncGenerator<Event> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENCE);
    try {
      const response = await this.#fetch(`${this.url}/api/executions/${executionId}/events`, {
        headers: { ...this.#headers, Accept: "text/event-stream", "Last-Event-ID": String(after) },
        signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
      });
      if (!response.ok) throw await errorOf(response);
      if (response.status === 204 || response.body === null) return;
      const alive = new TransformStream<Uint8Array, Uint8Array>({
        transform: (chunk, controller) => {
          clearTimeout(timer);
          timer = setTimeout(() => silence.abort(), SILENCE);
          controller.enqueue(chunk);
        },
      });
      for await (const message of readMessages(response.body.pipeThrough(alive))) {
        yield JSON.parse(message.data) as Event;
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  async #json<T>(method: string, path: string, init: { body?: BodyInit; headers?: Record<string, string> } = {}): Promise<T> {
    const headers = { ...this.#headers, Accept: "application/json", ...init.headers };
    const response = await this.#fetch(this.url + path, { ...init, method, headers });
    if (!response.ok) throw await errorOf(response);
    return (await response.json()) as T;
  }
}

/** A lost connection is a TypeError or an AbortError of `fetch`; every other error is not temporary. */
function throwUnlessTemporary(error: unknown): void {
  const isLostConnection = error instanceof TypeError || (error instanceof DOMException && error.name === "AbortError");
  if (!isLostConnection && !(error instanceof RequestError && error.isTemporary)) throw error;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
