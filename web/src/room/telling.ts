// Events as one line each. Twin of src/worldline/room/event_format.py.
import type { Body, Budget, Command, Outcome, Setting } from "./wire.ts";

const SHOWN = 300; // characters of an argument that a line repeats

export const BADGES: Readonly<Record<string, string>> = {
  action: "says that it made or looked up something; this line made nothing",
  entrance: "says that somebody came or went; see the room's own lines for who did",
  attachment: "says that a picture is attached; none is",
  picture: "links to a picture from elsewhere; it was not loaded",
};

export const ENDS: Readonly<Record<string, string>> = { done: "✓", refused: "⊘", failed: "✕", expired: "◌" };

/** What the room says of an event; "" for what speaks for itself. */
export function told(body: Body, commands: ReadonlyMap<number, Command>): string {
  switch (body.kind) {
    case "joined":
      return `${body.name} (${body.scripted ? `${body.model}, scripted` : body.model}) joined${body.invited_by ? `, invited by ${body.invited_by}` : ""}`;
    case "left":
      return `${body.name} left${body.reason ? `: ${body.reason}` : ""}`;
    case "outcome":
      return ended(body, commands.get(body.command));
    case "notice":
      return body.text;
    case "setting":
      return set(body);
    case "budget":
      return limits(body);
    case "paused":
      return `the room is ${body.state}${body.reason ? `: ${body.reason}` : ""}`;
    default:
      return "";
  }
}

/** A command as it would be typed. */
export function written({ name, arguments: given }: Command): string {
  if (name === "temperature") return `!temperature ${given[0] ?? ""}`;
  return [`!${name}`, ...given.map((one) => `"${Array.from(one).slice(0, SHOWN).join("")}"`)].join(" ");
}

/** What model wrote something, how warm. */
export function byWords(model: string, temperature: number | null, scripted: boolean): string {
  if (!model) return "";
  if (scripted) return `${model} · scripted`;
  return temperature === null ? model : `${model} · temperature ${temperature}`;
}

function ended(outcome: Outcome, command: Command | undefined): string {
  const what = command ? `${command.who}'s ${written(command)}` : `command ${outcome.command}`;
  return `${what}: ${outcome.end}${outcome.reason ? `, ${outcome.reason}` : ""}`;
}

function set({ what, value, who }: Setting): string {
  if (what === "muted") return `${who} ${value ? "is silent" : "may speak again"}`;
  return `${who ? `${who}'s ${what}` : `the room's ${what}`} is now ${String(value)}`;
}

function limits({ messages, tokens, dollars }: Budget): string {
  const parts = ([[messages, "replies"], [tokens, "tokens"], [dollars, "dollars"]] as const).filter(([value]) => value !== null);
  return parts.length > 0 ? `the budget is ${parts.map(([value, unit]) => `${value} ${unit}`).join(", ")}` : "there is no budget";
}
