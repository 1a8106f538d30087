// One event of a room as an element: a message with what it drew on, or a line of the room.
import { h } from "../dom.ts";
import { type Known, partsOf, sharesOf, told } from "./line.ts";
import type { MessageBody, OutcomeBody, RoomEvent } from "./wire.ts";
import { BADGES, nats, percent, webAddress } from "./words.ts";

const MOST_NAMED = 4;

export interface MessageEvents {
  onBranch(number: number): void;
  onOther(tip: number): void;
  /** Fetch a picture by its name, and show it in an element. */
  onPicture(name: string, into: HTMLImageElement): void;
}

export function eventElement(event: RoomEvent, known: Known, hues: ReadonlyMap<string, string>, others: readonly number[], on: MessageEvents): HTMLElement | null {
  const { body, number } = event;
  if (body.kind === "message") return messageElement(number, body, known, hues, others, on);
  if (body.kind === "outcome") return outcomeElement(number, body, known, on);
  const line = told(event);
  const left = others.map((tip) => otherButton(tip, on));
  if (!line && left.length === 0) return null;
  return h("p", { class: `wl-room-line wl-room-${body.kind}`, "data-event": number, dir: "auto" }, line, ...left);
}

function messageElement(number: number, body: MessageBody, known: Known, hues: ReadonlyMap<string, string>, others: readonly number[], on: MessageEvents): HTMLElement {
  const marks = [body.scripted ? "scripted" : body.model, body.temperature === null ? "" : `temperature ${body.temperature}`].filter(Boolean);
  const head = h(
    "header",
    {},
    h("i", { class: "wl-room-dot", "aria-hidden": "true" }),
    h("bdi", { class: "wl-room-who", text: body.who }),
    marks.length > 0 && h("bdi", { class: "wl-room-mark", text: marks.join(", ") }),
    h("span", { class: "wl-room-pull", "aria-live": "off" }),
    h("button", { type: "button", class: "wl-room-branch", text: "branch from here", "aria-label": `Branch from ${body.who}'s message`, on: { click: () => on.onBranch(number) } }),
    ...others.map((tip) => otherButton(tip, on)),
  );
  const element = h("article", { class: "wl-room-message", "data-event": number, tabindex: 0 }, head, textElement(number, body, known), ...badges(body), ...flowParts(number, known, hues));
  element.style.setProperty("--wl-hue", hues.get(body.who) ?? "var(--wl-pale)");
  return element;
}

function otherButton(tip: number, on: MessageEvents): HTMLElement {
  return h("button", { type: "button", class: "wl-room-other", text: "the other branch", on: { click: () => on.onOther(tip) } });
}

function textElement(number: number, body: MessageBody, known: Known): HTMLElement {
  const parts = partsOf(body, known.of(number)).map(({ text, borrowed, claim, command }) => {
    if (command !== null) {
      const outcome = known.outcomes.get(command);
      const end = outcome?.end ?? "pending";
      return h("code", { class: `wl-room-command wl-room-${end}`, title: outcome ? `${end}${outcome.reason ? `: ${outcome.reason}` : ""}` : "not yet", text });
    }
    if (borrowed !== null) return h("mark", { title: `written in the name of ${borrowed}`, text });
    if (claim !== null) return h("span", { class: "wl-room-claim", text });
    return text;
  });
  return h("p", { class: "wl-room-text", dir: "auto" }, ...parts);
}

function badges(body: MessageBody): HTMLElement[] {
  return body.claims.map(({ name }) => h("p", { class: "wl-room-badge", text: BADGES[name] ?? name }));
}

function flowParts(number: number, known: Known, hues: ReadonlyMap<string, string>): HTMLElement[] {
  const drawn = known.drawn.get(number);
  if (!drawn) return [];
  const flow = known.flow(number);
  if (!flow) return [h("p", { class: "wl-room-reason", text: drawn.reason })];
  const shares = sharesOf(flow);
  const whole = shares.reduce((sum, { attention }) => sum + attention, 0);
  const bar = h(
    "span",
    { class: "wl-room-bar", "aria-hidden": "true" },
    ...shares.map(({ name, attention, of }) => {
      const part = h("i", { title: `${name}: ${percent(attention)}` });
      part.style.width = `${100 * of}%`;
      part.style.background = hues.get(name) ?? "var(--wl-pale)";
      return part;
    }),
  );
  const said = shares.slice(0, MOST_NAMED).map(({ name, attention }) => `${name} ${percent(attention)}`);
  const strongest = flow.messages.filter(({ speaker }) => speaker).sort((one, two) => Math.abs(two.lost_nats) - Math.abs(one.lost_nats))[0];
  const words =
    shares.length === 0
      ? "read nobody's words"
      : `${percent(whole)} of its attention on messages: ${said.join(", ")}` +
        (strongest ? `; most by loss: ${strongest.speaker}, ${nats(strongest.lost_nats)}` : "");
  return [h("p", { class: "wl-room-flow" }, bar, h("bdi", { text: words }))];
}

function outcomeElement(number: number, body: OutcomeBody, known: Known, on: MessageEvents): HTMLElement {
  const command = known.commands.get(body.command);
  const what = command ? `${command.who}'s !${command.name}${command.arguments.map((one) => ` "${one}"`).join("")}` : `command ${body.command}`;
  const line = h("p", {}, h("b", { class: `wl-room-${body.end}`, text: body.end }), " ", h("bdi", { text: `${what}${body.reason ? `: ${body.reason}` : ""}` }));
  const element = h("div", { class: "wl-room-line wl-room-outcome", "data-event": number }, line);
  const { picture, hits } = body.result;
  if (picture) {
    const image = h("img", { class: "wl-room-picture", alt: body.result.about ?? "a picture" });
    on.onPicture(picture, image);
    element.append(image);
  }
  if (hits) element.append(h("ol", { class: "wl-room-hits" }, ...hits.map(hitElement)));
  return element;
}

function hitElement({ title, text, url }: { title: string; text: string; url: string }): HTMLElement {
  const href = webAddress(url);
  return h(
    "li",
    { dir: "auto" },
    h("b", { text: title }),
    ` ${text} `,
    href ? h("a", { href, target: "_blank", rel: "noopener noreferrer", text: url }) : h("span", { text: url }),
  );
}
