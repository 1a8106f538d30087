// One open room as the server tells it: what happened, what is being written, how it stands.
import { eventsOf, type Server } from "../live/server.ts";
import type { Piece, RoomEvent, Rooms, Standing } from "./wire.ts";

const AGAIN_AFTER_MS = 1500;

export interface Listener {
  onEvents(events: readonly RoomEvent[]): void;
  onPiece(piece: Piece): void;
  onStanding(standing: Standing): void;
  onClosed(): void;
  /** Why nothing is heard just now; null once something is. */
  onQuiet(why: string | null): void;
}

export class RoomClient {
  readonly events: RoomEvent[] = [];
  private abort: AbortController | null = null;

  constructor(
    readonly server: Server,
    private readonly listener: Listener,
  ) {}

  rooms(): Promise<Rooms> {
    return this.server.json("api/room");
  }

  open(what: { scenario: string } | { log: string }): Promise<Rooms> {
    return this.server.json("api/room", posted(what));
  }

  async do(deed: { do: string; [name: string]: unknown }): Promise<void> {
    this.listener.onStanding(await this.server.json<Standing>("api/room/deeds", posted(deed)));
  }

  /** Listen from the beginning, and again where the stream breaks, until `leave`. */
  async listen(): Promise<void> {
    this.leave();
    this.events.length = 0;
    const abort = (this.abort = new AbortController());
    while (!abort.signal.aborted) {
      try {
        const response = await this.server.call(`api/room/events?after=${this.events.length}`, { signal: abort.signal });
        this.listener.onQuiet(null);
        if (await this.follow(response, abort.signal)) return;
      } catch (error) {
        if (abort.signal.aborted) return;
        this.listener.onQuiet(error instanceof TypeError ? "The server does not answer; trying again." : String(error instanceof Error ? error.message : error));
      }
      await new Promise((go) => setTimeout(go, AGAIN_AFTER_MS));
    }
  }

  leave(): void {
    this.abort?.abort();
    this.abort = null;
  }

  /** True where the room was closed. */
  private async follow(response: Response, signal: AbortSignal): Promise<boolean> {
    let fresh: RoomEvent[] = [];
    const tell = (): void => {
      if (fresh.length > 0) this.listener.onEvents(fresh);
      fresh = [];
    };
    let told = 0;
    for await (const { event, data } of eventsOf(response)) {
      if (signal.aborted) return true;
      if (event === "event") {
        const one = data as unknown as RoomEvent;
        if (one.number === this.events.length + 1) {
          this.events.push(one);
          fresh.push(one);
          // events come in a burst: they are drawn together
          window.clearTimeout(told);
          told = window.setTimeout(tell, 0);
        }
        continue;
      }
      tell();
      if (event === "piece") this.listener.onPiece(data as unknown as Piece);
      else if (event === "standing") this.listener.onStanding(data as unknown as Standing);
      else if (event === "closed") {
        this.listener.onClosed();
        return true;
      }
    }
    tell();
    return false;
  }
}

function posted(value: unknown): RequestInit {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
}
