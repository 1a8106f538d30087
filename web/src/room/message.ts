// One message: who, with what, its words with what is marked in them, and all that came of it.
import { h } from "../dom.ts";
import { chipOf, drawnPart } from "./drawing.ts";
import { badges, outcomeOf, remarkOf } from "./outcome.ts";
import type { Pictures } from "./pictures.ts";
import { type Hues, NO_HUE } from "./reading.ts";
import { type Marked, piecesOf, seen } from "./spans.ts";
import type { Given, SaidRow } from "./story.ts";
import { BADGES, byWords } from "./telling.ts";
import type { Message } from "./wire.ts";

export interface MessageEvents {
  onBranch(number: number): void;
  onShow(number: number): void;
}

interface Mark {
  tag: "code" | "span" | "mark";
  class: string;
  title: string;
  /** In whose name it is written. */
  name?: string;
}

export function messageOf({ event, given, remarks, drawn }: SaidRow, hues: Hues, pictures: Pictures, events: MessageEvents): HTMLElement {
  const { body, number } = event;
  const hue = hues.get(body.who) ?? NO_HUE;
  const branch = h("button", { type: "button", class: "wl-branch", text: "Branch from here", "aria-label": seen(`Branch from message ${number} by ${body.who}`), on: { click: () => events.onBranch(number) } });
  const said = h(
    "article",
    { class: "wl-said", "data-number": number, tabindex: 0, "aria-label": seen(`${body.who}, ${number}`) },
    h("header", {}, ...speaker(body.who, hue, `${byWords(body.model, body.temperature, body.scripted) || "a person"} · event ${number}`), h("span", { class: "wl-beside" }), branch),
    body.reasoning ? h("details", { class: "wl-thought" }, h("summary", { text: "Reasoning" }), h("p", { dir: "auto", text: seen(body.reasoning) })) : null,
    h("p", { class: "wl-words", dir: "auto" }, ...wordsOf(body, given)),
    body.ending === "stop" || body.ending === "" ? null : h("p", { class: "wl-ending", text: body.ending === "length" ? "Cut off: a reply may not be longer." : seen(`It ended so: ${body.ending}`) }),
    badges(body),
    given.length > 0 ? h("ul", { class: "wl-outcomes" }, ...given.map((one) => outcomeOf(one, pictures))) : null,
    remarks.length > 0 ? h("ul", { class: "wl-remarks" }, ...remarks.map(remarkOf)) : null,
    drawn ? drawnPart(drawn, body.who, hues, events.onShow) : null,
  );
  said.style.setProperty("--hue", hue);
  return said;
}

/** A name in its colour, and what wrote under it. */
export function speaker(name: string, hue: string, by: string): HTMLElement[] {
  return [chipOf(hue), h("b", { class: "wl-who" }, h("bdi", { text: seen(name) })), h("span", { class: "wl-by", text: seen(by) })];
}

function wordsOf(body: Message, given: readonly Given[]): (HTMLElement | string)[] {
  const marks: Marked<Mark>[] = [
    ...body.borrowed.map(({ start, end, name }) => ({ start, end, mark: { tag: "span" as const, class: "wl-borrowed", title: `${body.who} wrote this in ${name}'s name`, name } })),
    ...body.claims.map(({ start, end, name }) => ({ start, end, mark: { tag: "mark" as const, class: "wl-claimed", title: BADGES[name] ?? name } })),
    ...given.map(({ command, outcome }) => ({
      start: command.start,
      end: command.end,
      mark: { tag: "code" as const, class: `wl-given wl-end-${outcome?.end ?? "running"}`, title: [outcome?.end ?? "it is being done", outcome?.reason].filter(Boolean).join(": ") },
    })),
  ];
  return piecesOf(body.shown, marks).map(({ text, marks: over }) =>
    over.reduce<HTMLElement | string>((inside, { tag, class: kind, title, name }) => h(tag, { class: kind, title: seen(title), "data-name": name === undefined ? null : seen(name) }, inside), seen(text)),
  );
}
