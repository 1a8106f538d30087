// What follows from a room's events alone: branches, pieces of a text, who reads whom. No DOM.
import type { CommandBody, DrawnBody, MessageBody, OutcomeBody, ReplyFlow, RoomEvent } from "./wire.ts";

const HUES = ["#7a6ff0", "#d9822b", "#2a9d8f", "#d1495b", "#4f86c6", "#8d6a9f", "#6a994e", "#b08900"];

/** The events that lead to `tip` (else the newest), the first one first. */
export function lineOf(events: readonly RoomEvent[], tip?: number): RoomEvent[] {
  const found: RoomEvent[] = [];
  for (let at = tip ?? events.length; at > 0; ) {
    const event = events[at - 1];
    if (!event) break;
    found.push(event);
    at = event.parent;
  }
  return found.reverse();
}

/** The newest event of every other branch that leaves a line, by the event where it leaves. */
export function otherBranches(events: readonly RoomEvent[], line: readonly RoomEvent[]): Map<number, number[]> {
  const inside = new Set(line.map(({ number }) => number));
  const root = new Map<number, number>(); // event -> where its branch left the line
  const last = new Map<number, number>(); // event -> first event of its branch
  const newest = new Map<number, number>(); // first event of a branch -> its newest event
  for (const { number, parent } of events) {
    if (inside.has(number)) continue;
    const leaves = parent === 0 || inside.has(parent);
    const first = leaves ? number : (last.get(parent) ?? number);
    last.set(number, first);
    if (leaves) root.set(number, parent);
    newest.set(first, number);
  }
  const found = new Map<number, number[]>();
  for (const [first, at] of root) found.set(at, [...(found.get(at) ?? []), newest.get(first) ?? first]);
  return found;
}

/** A colour for each speaker, in the order of their first words. */
export function huesOf(line: readonly RoomEvent[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const { body } of line) {
    if (body.kind === "message" && !found.has(body.who)) found.set(body.who, HUES[found.size % HUES.length] ?? "");
  }
  return found;
}

export interface Part {
  text: string;
  borrowed: string | null;
  claim: string | null;
  command: number | null;
}

/** A message's text in pieces, each with what lies over it: another's name, a claim, a command. */
export function partsOf(body: MessageBody, commands: ReadonlyMap<number, CommandBody>): Part[] {
  const letters = [...body.shown]; // the server counts characters, not UTF-16 halves
  const marks: Omit<Part, "text">[] = letters.map(() => ({ borrowed: null, claim: null, command: null }));
  const over = (start: number, end: number, mark: Partial<Part>): void => {
    for (const one of marks.slice(Math.max(0, start), end)) Object.assign(one, mark);
  };
  for (const { start, end, name } of body.borrowed) over(start, end, { borrowed: name });
  for (const { start, end, name } of body.claims) over(start, end, { claim: name });
  for (const [number, { start, end }] of commands) over(start, end, { command: number });
  const found: Part[] = [];
  letters.forEach((letter, at) => {
    const mark = marks[at]!;
    const before = found.at(-1);
    if (before && before.borrowed === mark.borrowed && before.claim === mark.claim && before.command === mark.command) before.text += letter;
    else found.push({ text: letter, ...mark });
  });
  return found;
}

/** What the room says of an event, in a line; "" for what is drawn otherwise. */
export function told({ body }: RoomEvent): string {
  switch (body.kind) {
    case "joined":
      return `${body.name} (${body.scripted ? "scripted" : body.model}) joined${body.invited_by ? `, invited by ${body.invited_by}` : ""}`;
    case "left":
      return `${body.name} left${body.reason ? `: ${body.reason}` : ""}`;
    case "notice":
      return body.text;
    case "setting":
      return `${body.who ? `${body.who}'s ${body.what}` : `the room's ${body.what}`} is now ${String(body.value)}`;
    case "budget": {
      const parts = [
        [body.messages, "replies"],
        [body.tokens, "tokens"],
        [body.dollars, "dollars"],
      ].filter(([value]) => value !== null);
      return parts.length > 0 ? `the budget is ${parts.map(([value, unit]) => `${value} ${unit}`).join(", ")}` : "there is no budget";
    }
    case "paused":
      return `the room is ${body.state}${body.reason ? `: ${body.reason}` : ""}`;
    default:
      return "";
  }
}

/** What is known of the messages of a line: commands, outcomes, flows, by number. */
export class Known {
  readonly commands = new Map<number, CommandBody>();
  readonly outcomes = new Map<number, OutcomeBody>(); // by the command
  readonly drawn = new Map<number, DrawnBody>(); // by the message
  readonly messages = new Map<number, MessageBody>();

  constructor(line: readonly RoomEvent[]) {
    for (const { number, body } of line) {
      if (body.kind === "command") this.commands.set(number, body);
      else if (body.kind === "outcome") this.outcomes.set(body.command, body);
      else if (body.kind === "drawn") this.drawn.set(body.message, body);
      else if (body.kind === "message") this.messages.set(number, body);
    }
  }

  /** The commands of one message, by their numbers. */
  of(message: number): Map<number, CommandBody> {
    return new Map([...this.commands].filter(([, one]) => one.message === message));
  }

  /** The flow of a message; null where none was measured. */
  flow(message: number): ReplyFlow | null {
    const found = this.drawn.get(message)?.flow;
    return found && "messages" in found ? (found as ReplyFlow) : null;
  }
}

export interface Pair {
  attention: number;
  lost: number;
}

export interface WhoReadsWhom {
  readers: Map<string, number>;
  read: string[];
  pairs: Map<string, Map<string, Pair>>;
  mostRead: string | null;
}

/** Per pair of reader and read, means over the reader's replies; the room's own lines left out. */
export function whoReadsWhom(known: Known): WhoReadsWhom {
  const readers = new Map<string, number>();
  const pairs = new Map<string, Map<string, Pair>>();
  const others = new Map<string, number>();
  for (const [number, { who }] of known.messages) {
    const flow = known.flow(number);
    if (!flow) continue;
    readers.set(who, (readers.get(who) ?? 0) + 1);
    const row = pairs.get(who) ?? new Map<string, Pair>();
    pairs.set(who, row);
    for (const [name, { attention, lost_nats }] of Object.entries(flow.speakers)) {
      if (!name) continue;
      const sum = row.get(name) ?? { attention: 0, lost: 0 };
      row.set(name, { attention: sum.attention + attention, lost: sum.lost + lost_nats });
    }
  }
  for (const [reader, row] of pairs) {
    const n = readers.get(reader) ?? 1;
    for (const [name, sum] of row) {
      const mean = { attention: sum.attention / n, lost: sum.lost / n };
      row.set(name, mean);
      if (name !== reader) others.set(name, (others.get(name) ?? 0) + mean.attention);
    }
  }
  const read = [...new Set([...pairs.values()].flatMap((row) => [...row.keys()]))];
  const [mostRead = null] = [...others].sort((one, two) => two[1] - one[1])[0] ?? [];
  return { readers, read, pairs, mostRead };
}

/** Speakers by their share of a reply's attention, the largest first; the room's own lines left out. */
export function sharesOf(flow: ReplyFlow): { name: string; attention: number; of: number }[] {
  const found = Object.entries(flow.speakers)
    .filter(([name]) => name)
    .map(([name, { attention }]) => ({ name, attention }));
  const whole = found.reduce((sum, { attention }) => sum + attention, 0) || 1;
  return found.sort((one, two) => two.attention - one.attention).map((one) => ({ ...one, of: one.attention / whole }));
}
