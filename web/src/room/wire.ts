// What the server says of a room; see apps/server/rooms.py and room/events.py.

export interface Span {
  start: number;
  end: number;
  name: string;
}

export interface MessageBody {
  kind: "message";
  who: string;
  text: string;
  shown: string;
  borrowed: Span[];
  claims: Span[];
  model: string;
  temperature: number | null;
  scripted: boolean;
  ending: string;
}

export interface CommandBody {
  kind: "command";
  message: number;
  who: string;
  start: number;
  end: number;
  name: string;
  arguments: string[];
}

export interface Hit {
  title: string;
  text: string;
  url: string;
}

export interface OutcomeBody {
  kind: "outcome";
  command: number;
  end: "done" | "refused" | "failed" | "expired";
  reason: string;
  result: { picture?: string; about?: string; hits?: Hit[] };
}

export interface Read {
  event: number | null;
  speaker: string;
  lost_nats: number;
  attention: number;
  cut_nats?: number | null;
  whole_nats?: number | null;
}

export interface ReplyFlow {
  messages: Read[];
  speakers: Record<string, { lost_nats: number; attention: number }>;
  own_attention: number;
}

export interface DrawnBody {
  kind: "drawn";
  message: number;
  flow: ReplyFlow | Record<string, never>;
  reason: string;
}

export type Body =
  | MessageBody
  | CommandBody
  | OutcomeBody
  | DrawnBody
  | { kind: "joined"; name: string; model: string; invited_by: string; scripted: boolean }
  | { kind: "left"; name: string; reason: string }
  | { kind: "notice"; code: string; text: string; about: number; who: string }
  | { kind: "setting"; what: string; value: unknown; who: string }
  | { kind: "budget"; messages: number | null; tokens: number | null; dollars: number | null }
  | { kind: "paused"; state: "playing" | "paused" | "stopped"; reason: string };

export interface RoomEvent {
  number: number;
  parent: number;
  time: number;
  body: Body;
}

export interface Piece {
  who: string;
  text: string;
}

export interface Seated {
  name: string;
  model: string;
  persona: string;
  temperature: number;
  muted: boolean;
  scripted: boolean;
  replies: number;
}

export interface Standing {
  name: string;
  title: string;
  tip: number;
  playing: "playing" | "paused" | "stopped";
  talking: boolean;
  present: Seated[];
  next: string | null;
  settings: Record<string, string | number | boolean>;
  spent: { messages: number; tokens: number; dollars: number; unpriced: number };
  limits: { messages: number | null; tokens: number | null; dollars: number | null };
}

export interface Rooms {
  scenarios: { name: string; title: string; about: string }[];
  logs: string[];
  models: string[];
  open: Standing | null;
}

export const MODES = ["round_robin", "mention", "natural", "step"] as const;
