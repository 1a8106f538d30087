// A pen that writes SVG instead of painting: the same marks, once more.
import type { Pen } from "../pen.ts";
import { short, tag, xmlText } from "./xml.ts";

type Style = Pen["fillStyle"];

/** A gradient along a line, as the marks make it; it is written down when it is first used. */
class Shade implements CanvasGradient {
  readonly stops: string[] = [];

  constructor(
    readonly id: string,
    readonly ends: Record<"x1" | "y1" | "x2" | "y2", number>,
  ) {}

  addColorStop(offset: number, colour: string): void {
    this.stops.push(tag("stop", { offset, "stop-color": colour }));
  }
}

export class Recorder implements Pen {
  fillStyle: Style = "#000000";
  strokeStyle: Style = "#000000";
  globalAlpha = 1;
  lineWidth = 1;
  lineJoin: CanvasLineJoin = "miter";
  private dash: number[] = [];
  private way: string[] = [];
  private circle: Record<string, number> | null = null;
  private written: string[] = [];
  private shades = 0;

  /** Everything written since the last call. */
  take(): string {
    const all = this.written.join("\n");
    this.written = [];
    return all;
  }

  part(name: string, words: string, draw: () => void): void {
    const before = this.written;
    this.written = [];
    draw();
    const inside = this.take();
    this.written = before;
    if (inside !== "") this.written.push(tag("g", { class: name }, titled(words) + inside));
  }

  beginPath(): void {
    this.way = [];
    this.circle = null;
  }

  moveTo(x: number, y: number): void {
    this.way.push(`M${short(x)} ${short(y)}`);
  }

  lineTo(x: number, y: number): void {
    this.way.push(`L${short(x)} ${short(y)}`);
  }

  bezierCurveTo(x1: number, y1: number, x2: number, y2: number, x: number, y: number): void {
    this.way.push(`C${[x1, y1, x2, y2, x, y].map(short).join(" ")}`);
  }

  /** Whole circles only: no mark draws another arc. */
  arc(cx: number, cy: number, r: number, from: number, to: number): void {
    if (to - from < 2 * Math.PI || this.way.length > 0) throw new Error("an arc is a circle of its own here");
    this.circle = { cx, cy, r };
  }

  fill(): void {
    this.outline({ ...this.paint("fill", this.fillStyle) });
  }

  stroke(): void {
    this.outline({
      fill: "none",
      ...this.paint("stroke", this.strokeStyle),
      "stroke-width": this.lineWidth,
      "stroke-linejoin": this.lineJoin === "miter" ? undefined : this.lineJoin,
      "stroke-dasharray": this.dash.length > 0 ? this.dash.join(" ") : undefined,
    });
  }

  fillRect(x: number, y: number, width: number, height: number): void {
    this.written.push(tag("rect", { x, y, width, height, ...this.paint("fill", this.fillStyle) }));
  }

  createLinearGradient(x1: number, y1: number, x2: number, y2: number): Shade {
    this.shades += 1;
    return new Shade(`wl-shade-${this.shades}`, { x1, y1, x2, y2 });
  }

  setLineDash(dash: Iterable<number>): void {
    this.dash = [...dash];
  }

  private outline(attributes: Record<string, string | number | undefined>): void {
    if (this.circle) this.written.push(tag("circle", { ...this.circle, ...attributes }));
    else if (this.way.length > 0) this.written.push(tag("path", { d: this.way.join(""), ...attributes }));
  }

  private paint(name: "fill" | "stroke", style: Style): Record<string, string | number | undefined> {
    const opacity = this.globalAlpha < 1 ? this.globalAlpha : undefined;
    return { [name]: this.named(style), [`${name}-opacity`]: opacity };
  }

  private named(style: Style): string {
    if (typeof style === "string") return style;
    if (!(style instanceof Shade)) throw new Error("only colours and gradients along a line can be written");
    const { id, ends, stops } = style;
    const placed = { id, gradientUnits: "userSpaceOnUse", ...ends };
    this.written.push(tag("linearGradient", placed, stops.join("")));
    return `url(#${id})`;
  }
}

/** What a browser shows when the pointer rests on a part. */
function titled(words: string): string {
  return words === "" ? "" : tag("title", {}, xmlText(words));
}
