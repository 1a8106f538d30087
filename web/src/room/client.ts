// Asks the server about rooms, and listens to the open one for as long as somebody wants.
import { eventsOf, NoAnswer, type Server } from "../live/server.ts";
import type { Deed, Heard, Rooms, Standing } from "./wire.ts";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

export interface Listening {
  /** Something was said. */
  heard(what: Heard): void;
  /** The server answers, or in one line why not. */
  linked(trouble: string | null): void;
  /** Another room is open now, or none. */
  gone(): void;
  /** The last number that is known. */
  last(): number;
}

export class RoomClient {
  constructor(private readonly server: Server) {}

  rooms(): Promise<Rooms> {
    return this.server.json("api/room");
  }

  open(which: { scenario: string } | { log: string }): Promise<Rooms> {
    return this.server.json("api/room", posted(which));
  }

  deed(deed: Deed): Promise<Standing> {
    return this.server.json("api/room/deeds", posted(deed));
  }

  async picture(name: string): Promise<Blob> {
    return (await this.server.call(`api/room/pictures/${encodeURIComponent(name)}`)).blob();
  }

  save(form: "md" | "json" | "html", name: string): Promise<void> {
    return this.server.save(`api/room/export.${form}`, `${name}.${form}`);
  }

  /** Listen until the returned function is called; where the stream breaks, go on from the last number. */
  listen(name: string, to: Listening): () => void {
    const abort = new AbortController();
    void this.listening(name, to, abort.signal);
    return () => abort.abort();
  }

  private async listening(name: string, to: Listening, signal: AbortSignal): Promise<void> {
    let wait = FIRST_WAIT_MS;
    for (let again = false; !signal.aborted; again = true) {
      try {
        if (again && (await this.rooms()).open?.name !== name) return signal.aborted ? undefined : to.gone();
        const response = await this.server.call(`api/room/events?after=${to.last()}`, { signal });
        to.linked(null);
        for await (const said of eventsOf(response)) {
          if (signal.aborted) return;
          wait = FIRST_WAIT_MS;
          if (said.event === "closed") return to.gone();
          to.heard(said as unknown as Heard);
        }
      } catch (error) {
        if (signal.aborted) return;
        to.linked(wordsOf(error));
      }
      if (!signal.aborted) to.linked("The server does not answer; trying again.");
      await pause(wait);
      wait = Math.min(LONGEST_WAIT_MS, 2 * wait);
    }
  }
}

/** What went wrong, in one line. */
export function wordsOf(error: unknown): string {
  if (error instanceof NoAnswer) return error.message;
  if (error instanceof TypeError) return "The server does not answer; is it still running?";
  return error instanceof Error ? error.message : String(error);
}

function posted(value: unknown): RequestInit {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}
