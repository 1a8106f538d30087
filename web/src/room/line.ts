// Events as a tree: the line to one of them, what else went on from there.
import type { Event, Message } from "./wire.ts";

/** Another way from an event: where it begins, and what was first said on it. */
export interface Way {
  number: number;
  first: Message | null;
}

/** The events from the first one to `number`, in order; what a parent does not lead to is left out. */
export function lineTo(events: readonly Event[], number: number): Event[] {
  const line: Event[] = [];
  for (let at = number; at > 0; ) {
    const event = events[at - 1];
    if (!event || event.parent >= at) break;
    line.push(event);
    at = event.parent;
  }
  return line.reverse();
}

/** The newest event that comes of `number`, or itself. */
export function newestFrom(events: readonly Event[], number: number): number {
  return from(events, number).at(-1)?.number ?? number;
}

/** An event and all that comes of it, in the order of the log. */
function from(events: readonly Event[], number: number): Event[] {
  const inside = new Set([number]);
  return events.slice(Math.max(0, number - 1)).filter((event) => {
    if (inside.has(event.parent)) inside.add(event.number);
    return inside.has(event.number);
  });
}

function firstSaid(events: readonly Event[], number: number): Message | null {
  const bodies = from(events, number).map(({ body }) => body);
  return bodies.find((body): body is Message => body.kind === "message") ?? null;
}

/** By the number of an event on the line: the ways that went on from it elsewhere. */
export function forks(events: readonly Event[], line: readonly Event[]): Map<number, Way[]> {
  const on = new Set([0, ...line.map(({ number }) => number)]);
  const found = new Map<number, Way[]>();
  for (const event of events) {
    if (on.has(event.number) || !on.has(event.parent)) continue;
    found.set(event.parent, [...(found.get(event.parent) ?? []), { number: event.number, first: firstSaid(events, event.number) }]);
  }
  return found;
}
