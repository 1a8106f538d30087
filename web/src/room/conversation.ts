// The conversation: a line of events, the reply that is being written, the strands beside it.
import { h } from "../dom.ts";
import { huesOf, Known, lineOf, otherBranches } from "./line.ts";
import { eventElement, type MessageEvents } from "./message.ts";
import { Strands } from "./strands.ts";
import type { Piece, RoomEvent } from "./wire.ts";

const NEAR_END = 60; // pixels from the end within which a reader follows what comes

export class Conversation {
  readonly element: HTMLElement;
  known = new Known([]);
  private readonly list = h("div", { class: "wl-room-list", role: "log", "aria-live": "polite", "aria-label": "Conversation" });
  private readonly piece = h("article", { class: "wl-room-message wl-room-piece", hidden: true });
  private readonly strands = new Strands(this.list);
  private readonly note = h("p", { class: "wl-room-note", hidden: true });
  private rows = new Map<number, HTMLElement>();
  private line: RoomEvent[] = [];
  private hues = new Map<string, string>();
  private readonly sized = new ResizeObserver(() => this.redraw());
  /** The end of another branch that is looked at; null: the newest. */
  private tip: number | null = null;

  constructor(
    private readonly on: Omit<MessageEvents, "onOther">,
    private readonly onKnown: (known: Known, hues: ReadonlyMap<string, string>) => void,
  ) {
    const back = h("button", { type: "button", text: "back to the newest", on: { click: () => this.look(null) } });
    this.note.append("You look at another branch; to go on with it, branch from one of its messages. ", back);
    this.element = h("div", { class: "wl-room-conversation", tabindex: 0, "aria-label": "Messages" }, this.note, h("div", { class: "wl-room-scroll" }, this.strands.element, this.list, this.piece));
    const at = (target: EventTarget | null): number | null => {
      const row = target instanceof Element ? target.closest<HTMLElement>(".wl-room-message[data-event]") : null;
      return row ? Number(row.dataset["event"]) : null;
    };
    this.list.addEventListener("pointerover", ({ target }) => this.strands.point(at(target), this.known));
    this.list.addEventListener("pointerleave", () => this.strands.point(null, this.known));
    this.list.addEventListener("focusin", ({ target }) => this.strands.point(at(target), this.known));
    this.list.addEventListener("focusout", () => this.strands.point(null, this.known));
    this.sized.observe(this.list);
  }

  /** Forget everything: another room is opened. */
  clear(): void {
    this.tip = null;
    this.line = [];
    this.rows.clear();
    this.list.replaceChildren();
    this.write({ who: "", text: "" });
    this.fill([]);
  }

  /** Draw what the events say now; rows that stay as they are stay in place. */
  fill(events: readonly RoomEvent[]): void {
    this.events = events;
    const follows = this.atEnd();
    const before = this.line;
    this.line = lineOf(events, this.tip ?? undefined);
    this.note.hidden = this.tip === null;
    this.known = new Known(this.line);
    this.hues = huesOf(this.line);
    const others = this.tip === null ? otherBranches(events, this.line) : new Map<number, number[]>();
    const longer = before.every(({ number }, at) => this.line[at]?.number === number);
    if (!longer) {
      this.rows.clear();
      this.list.replaceChildren();
    }
    const known = new Set(longer ? before.map(({ number }) => number) : []);
    const touched = new Set(this.line.filter(({ number }) => !known.has(number)).flatMap((event) => touchedBy(event, this.known)));
    for (const event of this.line) {
      if (known.has(event.number) && !touched.has(event.number)) continue;
      this.place(event, others.get(event.number) ?? []);
    }
    this.redraw();
    this.onKnown(this.known, this.hues);
    if (follows) this.toEnd();
  }

  /** Show the reply that is being written; "" for none. */
  write({ who, text }: Piece): void {
    const follows = this.atEnd();
    this.piece.hidden = text === "";
    if (text !== "") {
      this.piece.style.setProperty("--wl-hue", this.hues.get(who) ?? "var(--wl-pale)");
      this.piece.replaceChildren(
        h("header", {}, h("i", { class: "wl-room-dot" }), h("bdi", { class: "wl-room-who", text: who }), h("span", { class: "wl-room-mark", text: "is writing; nothing of it is kept yet" })),
        h("p", { class: "wl-room-text", dir: "auto", text }),
      );
    }
    if (follows) this.toEnd();
  }

  destroy(): void {
    this.sized.disconnect();
  }

  private events: readonly RoomEvent[] = [];

  /** Look at another branch; null: the newest again. */
  private look(tip: number | null): void {
    this.tip = tip;
    this.fill(this.events);
  }

  private place(event: RoomEvent, others: readonly number[]): void {
    const on: MessageEvents = {
      ...this.on,
      onBranch: (number) => {
        this.tip = null;
        this.on.onBranch(number);
      },
      onOther: (tip) => this.look(tip),
    };
    const fresh = eventElement(event, this.known, this.hues, others, on);
    const old = this.rows.get(event.number);
    if (!fresh) return;
    this.rows.set(event.number, fresh);
    if (old) old.replaceWith(fresh);
    else this.list.append(fresh);
  }

  private redraw(): void {
    this.strands.draw(this.known, this.hues);
  }

  private atEnd(): boolean {
    const { scrollTop, scrollHeight, clientHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  private toEnd(): void {
    this.element.scrollTop = this.element.scrollHeight;
  }
}

/** The events whose rows another event changes: its own, and the message that it speaks of. */
function touchedBy({ number, body }: RoomEvent, known: Known): number[] {
  if (body.kind === "drawn" || body.kind === "command") return [number, body.message];
  if (body.kind === "outcome") return [number, known.commands.get(body.command)?.message ?? 0];
  return [number];
}
