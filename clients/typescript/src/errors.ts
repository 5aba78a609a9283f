import type { components } from "./api.js";

export type Problem = components["schemas"]["ProblemDocument"];
export type ProblemItem = components["schemas"]["ProblemItem"];
export type RequestErrorCode = Problem["code"];

/** The server rejected a request. `problems` are all problems of the request. */
export class RequestError extends Error {
  override readonly name = "RequestError";
  readonly status: number;
  /** Stable code for programs; null for a response that is no problem document, such as that of a proxy. */
  readonly code: RequestErrorCode | null;
  readonly problems: readonly ProblemItem[];
  /** Id of the request, also in the log of the server. */
  readonly requestId: string | null;

  constructor(status: number, document: Partial<Problem>) {
    const problems = document.errors ?? [];
    const lines = problems.map((problem) => `\n  ${problem.path ? `${problem.path}: ` : ""}${problem.message}`);
    super((document.detail ?? `The server responded with status ${status}.`) + lines.join(""));
    this.status = status;
    this.code = document.code ?? null;
    this.problems = problems;
    this.requestId = document.instance ?? null;
  }

  /** Whether the same request may succeed in a moment. */
  get isTemporary(): boolean {
    return [408, 429, 502, 503, 504].includes(this.status);
  }
}

/** Returns the error of a response. */
export async function errorOf(response: Response): Promise<RequestError> {
  const document: unknown = await response.json().catch(() => ({}));
  return new RequestError(response.status, typeof document === "object" && document !== null ? document : {});
}
