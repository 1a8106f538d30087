// Talks to the server: one question at a time, what happens to it, its answer. No science, no DOM.

import type { ClaimsPicture } from "../claims.gen.ts";
import type { Question } from "../question.gen.ts";

export interface Progress {
  line: string;
  seconds: number;
}

/** Which model answers, what the page shows first, and whether there are rooms. */
export interface About {
  model: string;
  example: string;
  version: string;
  rooms: boolean;
}

export interface Answered<T> {
  id: string;
  value: T;
}

/** Why there is no answer: said by the server, in one line. `stopped`: nobody wants it any more. */
export class NoAnswer extends Error {
  constructor(
    message: string,
    readonly stopped: boolean,
  ) {
    super(message);
  }
}

interface Said {
  event: string;
  data: Record<string, unknown>;
}

export class Server {
  private readonly client = randomName();
  private current: { id: string; abort: AbortController } | null = null;

  constructor(
    private readonly base: string,
    private readonly token: string | null,
  ) {}

  about(): Promise<About> {
    return this.json("api/about");
  }

  /** The claims and the verdicts on this model; null where the server has none. */
  claims(): Promise<ClaimsPicture | null> {
    return this.json("api/claims");
  }

  /** Ask; what was asked before is superseded, here and on the server. */
  async ask<T>(question: Question, heard: (progress: Progress) => void): Promise<Answered<T>> {
    this.current?.abort.abort();
    const abort = new AbortController();
    const mine = (this.current = { id: "", abort });
    try {
      const { id } = await this.json<{ id: string }>("api/questions", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ client: this.client, question }),
        signal: abort.signal,
      });
      mine.id = id;
      // What was read before the abort may still be told after it: nobody listens any more.
      await this.follow(id, abort.signal, (progress) => abort.signal.aborted || heard(progress));
      return { id, value: await this.json<T>(`api/questions/${id}/answer`, { signal: abort.signal }) };
    } catch (error) {
      if (abort.signal.aborted) throw new NoAnswer("stopped", true);
      if (error instanceof TypeError) throw new NoAnswer("The server does not answer; is it still running?", false);
      throw error;
    } finally {
      if (this.current === mine) this.current = null;
    }
  }

  /** Stop what is being worked on. */
  cancel(): void {
    const running = this.current;
    if (!running) return;
    if (running.id) void this.call(`api/questions/${running.id}`, { method: "DELETE" }).catch(() => undefined);
    running.abort.abort();
    this.current = null;
  }

  /** Fetch a file and hand it to the browser to save. */
  async save(path: string, name: string): Promise<void> {
    const blob = await (await this.call(path)).blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  private async follow(id: string, signal: AbortSignal, heard: (progress: Progress) => void): Promise<void> {
    const response = await this.call(`api/questions/${id}/events`, { signal });
    for await (const { event, data } of eventsOf(response)) {
      if (event === "queued") heard({ line: waits(Number(data["before"])), seconds: 0 });
      if (event === "progress") heard({ line: String(data["line"]), seconds: Number(data["seconds"]) });
      if (event === "failed") throw new NoAnswer(String(data["message"]), false);
      if (event === "cancelled") throw new NoAnswer(String(data["why"]), true);
      if (event === "done") return;
    }
    throw new NoAnswer("The server stopped answering; is it still running?", false);
  }

  /** What a path answers; NoAnswer with the server's own words where it refuses. */
  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    return (await (await this.call(path, init)).json()) as T;
  }

  async call(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.token) headers.set("Authorization", `Bearer ${this.token}`);
    const response = await fetch(this.base + path, { ...init, headers });
    if (response.ok) return response;
    const said = (await response.json().catch(() => ({}))) as { message?: string };
    throw new NoAnswer(said.message ?? `The server said ${response.status}.`, false);
  }
}

function waits(before: number): string {
  return before > 0 ? `waiting: ${before} before this one` : "starting";
}

function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Server-sent events of a response, one after the other. */
export async function* eventsOf(response: Response): AsyncGenerator<Said> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop() ?? "";
    for (const part of parts) {
      const said = parse(part);
      if (said) yield said;
    }
  }
}

/** One server-sent event; null for a comment. */
export function parse(part: string): Said | null {
  const lines = part.split("\n");
  const of = (name: string): string | undefined =>
    lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const event = of("event");
  return event ? { event, data: JSON.parse(of("data") ?? "{}") as Record<string, unknown> } : null;
}
