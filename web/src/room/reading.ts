// Sums over the flows of a line: whose words a reply read, and who reads whom.
import type { Drawn, Event, Flow, Message, Numbers, Read } from "./wire.ts";

// The order of first words gives the colour; the same ones as in the exported file.
export const HUES = ["#7a6ff0", "#d9822b", "#2a9d8f", "#d1495b", "#4f86c6", "#8d6a9f", "#6a994e", "#b08900"];
export const NO_HUE = "#888888";
export const FEWEST_NATS = 0.05; // a strand thinner than this says nothing

const MOST_STRANDS = 1000; // the strongest; a long room would be a grey wall, and a heavy one

export type Hues = ReadonlyMap<string, string>;

/** A colour for each speaker, in the order of their first words. */
export function huesOf(line: readonly Event[]): Hues {
  const names = new Set(line.map(({ body }) => body).filter((body): body is Message => body.kind === "message").map(({ who }) => who));
  return new Map([...names].map((name, at) => [name, HUES[at % HUES.length] ?? NO_HUE]));
}

export function isFlow(flow: Drawn["flow"]): flow is Flow {
  return Array.isArray(flow["messages"]) && typeof flow["speakers"] === "object";
}

/** The flows of a line by the number of the reply. */
export function flowsOf(line: readonly Event[]): Map<number, Flow> {
  const found = new Map<number, Flow>();
  for (const { body } of line) if (body.kind === "drawn" && isFlow(body.flow)) found.set(body.message, body.flow);
  return found;
}

export interface Share extends Numbers {
  name: string;
  /** Of the attention that lay on messages. */
  share: number;
}

/** Whose messages a reply read, the most read first; the room's own lines are left out. */
export function sharesOf(flow: Flow): Share[] {
  const named = Object.entries(flow.speakers).filter(([name]) => name !== "");
  const whole = named.reduce((sum, [, { attention }]) => sum + attention, 0) || 1;
  return named.map(([name, one]) => ({ name, ...one, share: one.attention / whole })).sort((a, b) => b.attention - a.attention);
}

/** The message of a speaker without which the reply would lose most. */
export function strongest(flow: Flow): Read | null {
  const spoken = flow.messages.filter(({ speaker }) => speaker);
  return spoken.reduce<Read | null>((best, one) => (!best || Math.abs(one.lost_nats) > Math.abs(best.lost_nats) ? one : best), null);
}

export interface Strand {
  reply: number;
  read: Read & { event: number };
}

/** What is drawn: from each reply to the messages of the line that it drew on; of very many the strongest. */
export function strandsOf(line: readonly Event[]): Strand[] {
  const said = new Set(line.filter(({ body }) => body.kind === "message").map(({ number }) => number));
  const found = [...flowsOf(line)].flatMap(([reply, flow]) =>
    flow.messages
      .filter((one): one is Read & { event: number } => one.event !== null && said.has(one.event) && said.has(reply))
      .filter((one) => one.speaker !== "" && Math.abs(one.lost_nats) >= FEWEST_NATS)
      .map((read) => ({ reply, read })),
  );
  if (found.length <= MOST_STRANDS) return found;
  return found.sort((a, b) => Math.abs(b.read.lost_nats) - Math.abs(a.read.lost_nats)).slice(0, MOST_STRANDS);
}

export interface Matrix {
  readers: { name: string; replies: number }[];
  read: string[];
  cell(reader: string, read: string): Numbers | null;
  mostRead: string | null;
}

/** Who reads whom: means over the reader's replies. Twin of who_reads_whom in reply_flow.py. */
export function whoReadsWhom(line: readonly Event[]): Matrix {
  const whoSaid = new Map(line.flatMap(({ number, body }) => (body.kind === "message" ? [[number, body.who] as const] : [])));
  const replies = new Map<string, number>();
  const sums = new Map<string, Map<string, Numbers>>();
  for (const [reply, flow] of flowsOf(line)) {
    const reader = whoSaid.get(reply);
    if (reader === undefined) continue;
    replies.set(reader, (replies.get(reader) ?? 0) + 1);
    const row = sums.get(reader) ?? new Map<string, Numbers>();
    sums.set(reader, row);
    for (const [name, one] of Object.entries(flow.speakers)) {
      const before = row.get(name) ?? { lost_nats: 0, attention: 0 };
      row.set(name, { lost_nats: before.lost_nats + one.lost_nats, attention: before.attention + one.attention });
    }
  }
  const mean = (reader: string, one: Numbers): Numbers => ({ lost_nats: one.lost_nats / (replies.get(reader) ?? 1), attention: one.attention / (replies.get(reader) ?? 1) });
  const others = new Map<string, number>();
  for (const [reader, row] of sums) for (const [name, one] of row) if (name && name !== reader) others.set(name, (others.get(name) ?? 0) + mean(reader, one).attention);
  const most = [...others].reduce<[string, number] | null>((best, one) => (!best || one[1] > best[1] ? one : best), null);
  return {
    readers: [...replies].map(([name, count]) => ({ name, replies: count })),
    read: [...new Set([...sums.values()].flatMap((row) => [...row.keys()]))].filter(Boolean),
    cell: (reader, name) => {
      const one = sums.get(reader)?.get(name);
      return one ? mean(reader, one) : null;
    },
    mostRead: most?.[0] ?? null,
  };
}
