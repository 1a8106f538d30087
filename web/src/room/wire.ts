// What the server says of rooms: twin of src/worldline/room/events.py and apps/server/rooms.py.
import type { ScenePrecision } from "../scene.gen.ts";

export interface Span {
  start: number;
  end: number;
  name: string;
}

export type End = "done" | "refused" | "failed" | "expired";

export interface Joined {
  kind: "joined";
  name: string;
  model: string;
  persona: string;
  temperature: number;
  invited_by: string;
  scripted: boolean;
}

export interface Left {
  kind: "left";
  name: string;
  reason: string;
}

export interface Message {
  kind: "message";
  who: string;
  text: string;
  shown: string;
  borrowed: Span[];
  claims: Span[];
  reasoning: string;
  model: string;
  temperature: number | null;
  seed: number | null;
  turn: number;
  tokens_in: number | null;
  tokens_out: number | null;
  price: number | null;
  seconds: number | null;
  ending: string;
  scripted: boolean;
  read_from: number;
  read_to: number;
}

export interface Command {
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

export interface Outcome {
  kind: "outcome";
  command: number;
  end: End;
  reason: string;
  result: { picture?: string; type?: string; about?: string; hits?: Hit[]; [name: string]: unknown };
}

export interface Numbers {
  lost_nats: number;
  attention: number;
}

/** One earlier message in a reply's flow; `event` is null for the instructions. */
export interface Read extends Numbers {
  event: number | null;
  speaker: string;
  cut_nats?: number | null;
  whole_nats?: number | null;
}

export interface Flow {
  messages: Read[];
  speakers: Record<string, Numbers>;
  own_attention: number;
  template_attention?: number;
  logprob_nats?: number;
  cut_precision?: ScenePrecision | null;
}

export interface Drawn {
  kind: "drawn";
  message: number;
  flow: Flow | Record<string, never>;
  reason: string;
}

export interface Notice {
  kind: "notice";
  code: string;
  text: string;
  about: number;
  who: string;
  span: Span | null;
}

export interface Setting {
  kind: "setting";
  what: string;
  value: string | number | boolean;
  who: string;
}

export interface Budget {
  kind: "budget";
  messages: number | null;
  tokens: number | null;
  dollars: number | null;
}

export interface Paused {
  kind: "paused";
  state: "playing" | "paused" | "stopped";
  reason: string;
}

export type Body = Joined | Left | Message | Command | Outcome | Drawn | Notice | Setting | Budget | Paused;

export interface Event<B extends Body = Body> {
  number: number;
  parent: number;
  time: number;
  body: B;
}

/** A participant as it is now. */
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

export interface Piece {
  who: string;
  text: string;
}

export type Deed =
  | { do: "say"; who: string; text: string }
  | { do: "play"; turns?: number }
  | { do: "pause" | "stop" }
  | { do: "branch"; number: number }
  | { do: "set"; what: string; value: string | number | boolean; who?: string }
  | { do: "join"; name: string; model: string; persona: string; temperature: number }
  | { do: "remove"; name: string }
  | { do: "limit"; messages: number | null; tokens: number | null };

export type Heard =
  | { event: "event"; data: Event }
  | { event: "piece"; data: Piece }
  | { event: "standing"; data: Standing }
  | { event: "closed"; data: Record<string, never> };
