// Strands in the gutter, from each reply to the messages that it drew on; one reply's own when pointed at.
import { s } from "../dom.ts";
import type { Known } from "./line.ts";
import { nats, percent } from "./words.ts";

const GUTTER = 84;
const ANCHOR = 17; // pixels below a message's top
const FEWEST_NATS = 0.05;
const BEND = 11;

export class Strands {
  readonly element = s("svg", { class: "wl-room-strands", "aria-hidden": "true", width: GUTTER });
  private paths: { reply: number; path: SVGElement }[] = [];

  constructor(private readonly list: HTMLElement) {}

  draw(known: Known, hues: ReadonlyMap<string, string>): void {
    const rows = new Map<number, { y: number; at: number }>();
    let at = 0;
    for (const row of this.list.querySelectorAll<HTMLElement>(".wl-room-message[data-event]")) {
      rows.set(Number(row.dataset["event"]), { y: row.offsetTop + ANCHOR, at: at++ });
    }
    const pulls = [...rows.keys()].flatMap((reply) =>
      (known.flow(reply)?.messages ?? []).flatMap((read) => {
        const from = read.event === null ? undefined : rows.get(read.event);
        const size = Math.abs(read.lost_nats);
        return from && read.speaker && size >= FEWEST_NATS ? [{ reply, from, to: rows.get(reply)!, read, size }] : [];
      }),
    );
    const most = Math.max(...pulls.map(({ size }) => size), 1e-9);
    this.paths = pulls
      .sort((one, two) => one.size - two.size)
      .map(({ reply, from, to, read, size }) => {
        const x = GUTTER - 4;
        const bend = x - Math.min(GUTTER - 8, BEND * (to.at - from.at + 1));
        const path = s("path", {
          d: `M${x} ${from.y}C${bend} ${from.y} ${bend} ${to.y} ${x} ${to.y}`,
          fill: "none",
          stroke: hues.get(read.speaker) ?? "currentColor",
          "stroke-width": (0.6 + 6 * Math.sqrt(size / most)).toFixed(2),
          "stroke-opacity": (0.25 + (0.6 * size) / most).toFixed(2),
          ...(read.lost_nats < 0 ? { "stroke-dasharray": "4 4" } : {}),
        });
        return { reply, path };
      });
    this.element.setAttribute("height", String(this.list.scrollHeight));
    this.element.replaceChildren(...this.paths.map(({ path }) => path));
  }

  /** Only the strands of one reply, with numbers beside the messages that it read; null: all. */
  point(reply: number | null, known: Known): void {
    const flow = reply === null ? null : known.flow(reply);
    const reads = new Map((flow?.messages ?? []).map((read) => [read.event, read]));
    for (const one of this.paths) one.path.classList.toggle("wl-room-away", flow !== null && one.reply !== reply);
    for (const row of this.list.querySelectorAll<HTMLElement>(".wl-room-message[data-event]")) {
      const read = reads.get(Number(row.dataset["event"]));
      const label = row.querySelector<HTMLElement>(".wl-room-pull");
      if (label) label.textContent = read ? `${percent(read.attention)}, ${nats(read.lost_nats)}` : "";
    }
  }
}
