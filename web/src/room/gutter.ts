// The strands at the left of the conversation: from each reply to the messages that it drew on.
import { s } from "../dom.ts";
import { type Hues, NO_HUE, type Strand } from "./reading.ts";

const EDGE = 11; // pixels between the middle of a dot and the words
const NEAR = 3.5; // messages: a strand that passes so many swings out by two thirds of the room there is
const THIN = 0.6;
const THICK = 0.055; // of the gutter's width, the strongest

export interface Anchor {
  number: number;
  who: string;
  y: number;
  flows: boolean;
}

export class Gutter {
  readonly element = s("svg", { class: "wl-gutter", "aria-hidden": "true", focusable: "false" });
  private lit: number | null = null;

  /** Draw everything anew: where messages lie, and what was drawn on. */
  draw(anchors: readonly Anchor[], strands: readonly Strand[], hues: Hues, width: number, height: number): void {
    const places = new Map(anchors.map(({ number, y }, at) => [number, { y, at }]));
    const most = Math.max(...strands.map(({ read }) => Math.abs(read.lost_nats)), 1e-9);
    const paths = [...strands]
      .sort((a, b) => Math.abs(a.read.lost_nats) - Math.abs(b.read.lost_nats))
      .flatMap((strand) => {
        const [from, to] = [places.get(strand.reply), places.get(strand.read.event)];
        return from && to ? [path(strand, from, to, most, hues, width)] : [];
      });
    const dots = anchors.map(({ who, y, flows, number }) =>
      s("circle", { cx: width - EDGE, cy: y, r: 5, class: flows ? "wl-dot-full" : "wl-dot-hollow", [flows ? "fill" : "stroke"]: hues.get(who) ?? NO_HUE, "data-number": number }),
    );
    this.element.setAttribute("width", String(width));
    this.element.setAttribute("height", String(height));
    this.element.replaceChildren(...paths, ...dots);
    this.light(this.lit);
  }

  /** Only the strands of one message; all where it is null. A message that read nothing shows who read it. */
  light(number: number | null): void {
    this.lit = number;
    const strands = [...this.element.querySelectorAll("path")];
    const own = strands.filter((one) => one.dataset["reply"] === String(number));
    const shown = own.length > 0 ? own : strands.filter((one) => one.dataset["read"] === String(number));
    this.element.classList.toggle("wl-some", number !== null && shown.length > 0);
    for (const one of strands) one.classList.toggle("wl-lit", shown.includes(one));
  }
}

interface Place {
  y: number;
  at: number;
}

function path({ reply, read }: Strand, from: Place, to: Place, most: number, hues: Hues, width: number): SVGElement {
  const size = Math.abs(read.lost_nats) / most;
  const x = width - EDGE;
  const thick = THIN + THICK * width * Math.sqrt(size);
  const swing = (x - 2 - thick / 2) * (1 - Math.exp(-(from.at - to.at) / NEAR));
  const bend = x - swing * (4 / 3); // a curve swings out three quarters of its handles
  return s("path", {
    d: `M${x} ${to.y.toFixed(1)}C${bend.toFixed(1)} ${to.y.toFixed(1)} ${bend.toFixed(1)} ${from.y.toFixed(1)} ${x} ${from.y.toFixed(1)}`,
    fill: "none",
    stroke: hues.get(read.speaker) ?? NO_HUE,
    "stroke-width": thick.toFixed(2),
    "stroke-opacity": (0.22 + 0.5 * size).toFixed(2),
    ...(read.lost_nats < 0 ? { "stroke-dasharray": "5 4" } : {}),
    "data-reply": reply,
    "data-read": read.event,
  });
}
