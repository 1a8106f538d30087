// Points, each with its interval; every series has a shape of its own.
import { s } from "../../dom.ts";
import type { ClaimsSeries } from "../../claims.gen.ts";
import type { Frame } from "../frame.ts";

const SHAPES = ["M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0", "M-3.3-3.3h6.6v6.6h-6.6z", "M0-4.2L4 3H-4z", "M0-4.4L4.4 0 0 4.4-4.4 0z"];

/** The shape of the series that stands at this place. */
export function pointShape(at: number): string {
  return SHAPES[at % SHAPES.length] ?? "";
}

export function drawPoints(frame: Frame, series: ClaimsSeries, at: number): SVGElement[] {
  return series.y.flatMap((y, n) => {
    if (y === null) return [];
    const x = frame.x(series.x[n] ?? 0, at);
    const place = `translate(${x.toFixed(1)} ${frame.y(y).toFixed(1)})`;
    return [...whisker(frame, series, n, x), s("path", { d: pointShape(at), transform: place, class: "wl-fill" })];
  });
}

/** The interval of one value, as an upright line with two ends. */
export function whisker(frame: Frame, { low, high }: ClaimsSeries, n: number, x: number): SVGElement[] {
  const [from, to] = [low?.[n] ?? null, high?.[n] ?? null];
  if (from === null || to === null) return [];
  const [bottom, top] = [frame.y(from), frame.y(to)];
  const path = `M${x} ${bottom}V${top}M${x - 3} ${bottom}h6M${x - 3} ${top}h6`;
  return [s("path", { d: path, class: "wl-whisker" })];
}
