// A line of events as rows to read: messages with all that belongs to them, and the room's own words between.
import type { Way } from "./line.ts";
import { told } from "./telling.ts";
import type { Body, Command, Drawn, Event, Message, Notice, Outcome } from "./wire.ts";

export interface Given {
  number: number;
  command: Command;
  outcome: Outcome | null;
}

export interface SaidRow {
  kind: "said";
  key: string;
  event: Event<Message>;
  given: Given[];
  remarks: Notice[];
  drawn: Drawn | null;
  /** The numbers of all events that the row shows. */
  holds: number[];
}

export interface QuietRow {
  kind: "quiet";
  key: string;
  lines: { number: number; text: string; loud: boolean }[];
  holds: number[];
}

export interface ForkRow {
  kind: "fork";
  key: string;
  ways: Way[];
  holds: number[];
}

export type Row = SaidRow | QuietRow | ForkRow;

const LOUD = new Set(["no_reply", "ended", "broken", "context"]); // notices that explain why the room stands still

export function rowsOf(line: readonly Event[], forked: ReadonlyMap<number, Way[]>): Row[] {
  const rows: Row[] = [];
  const said = new Map<number, SaidRow>();
  const given = new Map<number, Given>();
  const commands = new Map<number, Command>();
  for (const event of line) {
    const { body, number } = event;
    if (body.kind === "command") commands.set(number, body);
    const owner = ownerOf(body, said, given);
    if (owner) {
      owner.holds.push(number);
      belongs(event, owner, given);
    } else if (body.kind === "message") {
      const row: SaidRow = { kind: "said", key: `said-${number}`, event: event as Event<Message>, given: [], remarks: [], drawn: null, holds: [number] };
      said.set(number, row);
      rows.push(row);
    } else quiet(rows, event, told(body, commands));
  }
  return withForks(rows, forked);
}

/** The message that an event belongs to, where it is on the line. */
function ownerOf(body: Body, said: ReadonlyMap<number, SaidRow>, given: ReadonlyMap<number, Given>): SaidRow | undefined {
  if (body.kind === "command" || body.kind === "drawn") return said.get(body.message);
  if (body.kind === "outcome") return said.get(given.get(body.command)?.command.message ?? 0);
  if (body.kind === "notice" && body.code !== "branch" && !LOUD.has(body.code)) return said.get(body.about);
  return undefined;
}

function belongs({ body, number }: Event, row: SaidRow, given: Map<number, Given>): void {
  if (body.kind === "command") {
    const one: Given = { number, command: body, outcome: null };
    given.set(number, one);
    row.given.push(one);
  } else if (body.kind === "outcome") {
    const one = given.get(body.command);
    if (one) one.outcome = body;
  } else if (body.kind === "drawn") row.drawn = body;
  else if (body.kind === "notice") row.remarks.push(body);
}

function quiet(rows: Row[], { body, number }: Event, text: string): void {
  if (!text) return;
  const line = { number, text, loud: body.kind === "notice" && LOUD.has(body.code) };
  const last = rows.at(-1);
  if (last?.kind === "quiet") {
    last.lines.push(line);
    last.holds.push(number);
  } else rows.push({ kind: "quiet", key: `quiet-${number}`, lines: [line], holds: [number] });
}

/** After the row that an event stands in: what else went on from there. */
function withForks(rows: Row[], forked: ReadonlyMap<number, Way[]>): Row[] {
  if (forked.size === 0) return rows;
  return rows.flatMap((row): Row[] => {
    const ways = row.holds.flatMap((number) => forked.get(number) ?? []);
    return ways.length === 0 ? [row] : [row, { kind: "fork", key: `fork-${row.key}`, ways, holds: ways.map(({ number }) => number) }];
  });
}
