/** The question to the server, and its answer as it comes: server-sent events over fetch. */

/** The most of a model's reasoning that is kept, in characters; nobody reads more. */
export const MOST_REASONING = 20_000;
const MOST_EVENT = 4_000_000;

/** Why there is no answer. */
export class Trouble extends Error {
  /**
   * @param kind "down" (no server), "broken" (the answer ended early), or the HTTP status.
   * @param said The server's own words; may be empty.
   * @param retryAfterS Seconds after which the server wants to be asked again; 0 if it says none.
   */
  constructor(kind, said = "", retryAfterS = 0, code = "") {
    super(said || String(kind));
    Object.assign(this, { kind, said, retryAfterS, code });
  }
}

/**
 * Ask where a picture was taken.
 *
 * @param blob The picture.
 * @param options n: tries; key: "" for none; signal: aborts; reasoning(text), progress({answered, n}): what comes before the answer.
 * @returns The answer, as POST /locate documents it.
 * @throws {Trouble} Or an AbortError.
 */
export async function ask(blob, { n, key, signal, reasoning, progress }) {
  const headers = { "Content-Type": blob.type, Accept: "text/event-stream" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const sent = { method: "POST", headers, body: blob, signal, cache: "no-store", credentials: "same-origin", redirect: "error" };
  const reply = await reached(() => fetch(`locate?n=${n}&stream=true`, sent), signal, "down");
  if (!reply.ok) throw await refusal(reply);
  if (!(reply.headers.get("Content-Type") ?? "").startsWith("text/event-stream")) return answered(await reached(() => reply.json(), signal));
  const reader = reply.body.getReader();
  const decoder = new TextDecoder();
  const events = new Events();
  for (;;) {
    const { done, value } = await reached(() => reader.read(), signal);
    for (const { name, data } of events.take(done ? "" : decoder.decode(value, { stream: true }))) {
      if (name === "answer") return answered(parsed(data));
      if (name === "error") throw refused(parsed(data), 0, 0);
      if (name === "reasoning") reasoning(String(parsed(data)?.text ?? ""));
      if (name === "progress") progress(parsed(data));
    }
    if (done) throw new Trouble("broken");
  }
}

/** What a call gives; its failure, unless the user stopped it, is a trouble of a kind. */
async function reached(call, signal, kind = "broken") {
  try {
    return await call();
  } catch (error) {
    if (signal.aborted || error instanceof Trouble) throw error;
    throw new Trouble(kind);
  }
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new Trouble("broken");
  }
}

function answered(document) {
  if (typeof document?.status !== "string") throw new Trouble("broken");
  return document;
}

async function refusal(reply) {
  const header = reply.headers.get("Retry-After") ?? "";
  const seconds = /^\d+$/.test(header) ? Number(header) : Math.max(0, (Date.parse(header) - Date.now()) / 1000 || 0);
  const document = await reply.json().catch(() => null);
  return refused(document, reply.status, seconds);
}

/** In a stream there is no status, but the code says as much. */
function refused(document, status, retryAfterS) {
  const error = document?.error ?? {};
  return new Trouble(status || "broken", String(error.message ?? "").slice(0, 600), retryAfterS, String(error.code ?? ""));
}

/** Cuts a stream of text into server-sent events. */
export class Events {
  constructor() {
    this.rest = "";
  }

  /** The events that are whole with this piece of text. */
  take(text) {
    this.rest += text;
    if (this.rest.length > MOST_EVENT) throw new Trouble("broken");
    const found = [];
    for (;;) {
      const end = /\r\n\r\n|\n\n|\r\r/.exec(this.rest);
      if (!end) return found;
      const event = { name: "message", data: [] };
      for (const line of this.rest.slice(0, end.index).split(/\r\n|\n|\r/)) {
        const [, field, value] = /^([^:]*):? ?([^]*)$/.exec(line);
        if (field === "event") event.name = value;
        if (field === "data") event.data.push(value);
      }
      this.rest = this.rest.slice(end.index + end[0].length);
      found.push({ name: event.name, data: event.data.join("\n") });
    }
  }
}
