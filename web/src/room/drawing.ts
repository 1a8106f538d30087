// Under a reply: a bar by speaker of what it read, in a line of words, and each message in numbers.
import { figure, h, signClass } from "../dom.ts";
import { percent, signed } from "../format.ts";
import { type Hues, isFlow, NO_HUE, sharesOf, strongest } from "./reading.ts";
import { seen } from "./spans.ts";
import type { Drawn, Flow, Read } from "./wire.ts";
import { changeWords, told } from "../precision.ts";

const NAMED = 3; // speakers that a line names

export function drawnPart(drawn: Drawn, own: string, hues: Hues, onShow: (number: number) => void): HTMLElement {
  if (!isFlow(drawn.flow)) return h("p", { class: "wl-no-flow", text: seen(drawn.reason || "nothing is known of what it read") });
  const { flow } = drawn;
  return h("details", { class: "wl-drew" }, h("summary", {}, bar(flow, own, hues), h("span", { text: words(flow, own) })), table(flow, hues, onShow));
}

function bar(flow: Flow, own: string, hues: Hues): HTMLElement {
  const shares = sharesOf(flow);
  const told = shares.map(({ name, share }) => `${name === own ? "itself" : name} ${percent(share)}`).join(", ");
  return h(
    "span",
    { class: "wl-drew-bar", role: "img", "aria-label": seen(`Of its attention on messages: ${told || "nobody's words"}`) },
    ...shares.map(({ name, share }) => {
      const part = h("i", { title: seen(`${name === own ? "its own earlier words" : name}: ${percent(share)}`) });
      part.style.setProperty("width", `${100 * share}%`);
      part.style.setProperty("background", hues.get(name) ?? NO_HUE);
      return part;
    }),
  );
}

function words(flow: Flow, own: string): string {
  const shares = sharesOf(flow);
  const most = strongest(flow);
  const whole = shares.reduce((sum, { attention }) => sum + attention, 0);
  if (!most || whole <= 0) return "read nobody's words";
  const told = shares.slice(0, NAMED).map(({ name, attention }) => `${name === own ? "its own earlier words" : name} ${percent(attention)}`);
  return seen(`${percent(whole)} of its attention on messages: ${told.join(", ")}; most by loss: ${most.speaker === own ? "itself" : most.speaker}, ${signed(most.lost_nats)} nats`);
}

function table(flow: Flow, hues: Hues, onShow: (number: number) => void): HTMLElement {
  const exact = flow.messages.some(({ cut_nats: cut }) => typeof cut === "number");
  const names = ["message", "attention", "loss without, nats", ...(exact ? ["cut, nats", "by way of others, nats"] : [])];
  const rows = [...flow.messages].sort((a, b) => Math.abs(b.lost_nats) - Math.abs(a.lost_nats));
  return h(
    "div",
    { class: "wl-wide-table", tabindex: 0, role: "group", "aria-label": "What each message gave" },
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...names.map((text) => h("th", { scope: "col", text })))),
      h("tbody", {}, ...rows.map((one) => row(one, flow, exact, hues, onShow))),
    ),
    h("p", { class: "wl-hint", text: `Attention on itself ${percent(flow.own_attention)}. Loss: what the reply's log-probability would lose without these reads, to first order.` }),
  );
}

function row(one: Read, flow: Flow, exact: boolean, hues: Hues, onShow: (number: number) => void): HTMLElement {
  const { event, cut_nats: cut, whole_nats: all } = one;
  const name = event === null ? "the instructions" : seen(`${one.speaker || "the room"}, ${event}`);
  const link = event !== null && one.speaker ? h("button", { type: "button", class: "wl-why", text: name, on: { click: () => onShow(event) } }) : h("span", { text: name });
  const nats = (value: number | null): HTMLElement => h("td", {}, value === null ? "–" : figure(value, signed(value), signClass(value)));
  const known = flow.cut_precision ?? undefined;
  // Two altered runs round apart from each other, so that their difference does by more.
  const ofDifference = known && { ...known, floor: known.floor * Math.SQRT2, resolution: known.resolution * Math.SQRT2 };
  const cutNats = (value: number | null, precision = known): HTMLElement =>
    value === null || told(value, precision) ? nats(value) : h("td", { class: "wl-pale", text: changeWords(value, precision) });
  return h(
    "tr",
    {},
    h("td", {}, chipOf(hues.get(one.speaker)), link),
    h("td", {}, figure(one.attention, percent(one.attention))),
    nats(one.lost_nats),
    ...(exact ? [cutNats(cut ?? null), cutNats(typeof cut === "number" && typeof all === "number" ? all - cut : null, ofDifference)] : []),
  );
}

/** A dot in a speaker's colour; hollow where it has none yet. */
export function chipOf(hue: string | undefined): HTMLElement {
  const chip = h("i", { class: hue ? "wl-chip" : "wl-chip wl-none", "aria-hidden": "true" });
  if (hue) chip.style.setProperty("--hue", hue);
  return chip;
}
