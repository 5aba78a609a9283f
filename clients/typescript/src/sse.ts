/** A message of a stream of server-sent events. */
export interface Message {
  id: string;
  event: string;
  data: string;
}

/** Yields the messages of a response. Comments and a message that is cut off are skipped. */
export async function* readMessages(body: ReadableStream<Uint8Array>): AsyncGenerator<Message> {
  let message: Partial<Message> = {};
  for await (const line of readLines(body)) {
    if (line === "") {
      if (message.id !== undefined && message.data !== undefined) {
        yield { event: "message", ...message } as Message;
      }
      message = {};
    } else if (!line.startsWith(":")) {
      addField(message, line);
    }
  }
}

function addField(message: Partial<Message>, line: string): void {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (name === "data") {
    message.data = message.data === undefined ? value : `${message.data}\n${value}`;
  } else if (name === "id" || name === "event") {
    message[name] = value;
  }
}

async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      const lines = (rest + chunk.value).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        yield line.replace(/\r$/, "");
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
