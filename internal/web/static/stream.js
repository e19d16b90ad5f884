// NDJSON over fetch: bytes in whatever pieces the network cuts them -> one event a line.

/** Splits a byte stream into lines. A character or a line may be cut anywhere. */
export function lineSplitter() {
  const decoder = new TextDecoder();
  let rest = "";

  const take = (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    return lines;
  };
  return {
    push(bytes) {
      const text = decoder.decode(bytes, { stream: true });
      if (text.includes("\n")) return take(text);
      rest += text;
      return [];
    },
    end() {
      const lines = take(decoder.decode());
      const last = rest;
      rest = "";
      return last.trim() ? [...lines, last] : lines;
    },
  };
}

/** One line -> one event; null for a blank line. */
export function parseEvent(line) {
  if (!line.trim()) return null;
  try {
    return JSON.parse(line);
  } catch {
    throw new Error("The server's answer was cut off or damaged. Ask again.");
  }
}

/** Yields the events of a response body. Leaving the loop early cancels the request, and with it the model. */
export async function* events(body) {
  const reader = body.getReader();
  const lines = lineSplitter();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      for (const line of done ? lines.end() : lines.push(value)) {
        const event = parseEvent(line);
        if (event) yield event;
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
