// Bars from zero, with a whisker over the interval.
import { s } from "../../dom.ts";
import type { ClaimsSeries } from "../../claims.gen.ts";
import type { Frame } from "../frame.ts";
import { whisker } from "./point.ts";

export function drawBars(frame: Frame, series: ClaimsSeries, at: number): SVGElement[] {
  const zero = frame.y(0);
  return series.y.flatMap((y, n) => {
    if (y === null) return [];
    const x = frame.x(series.x[n] ?? 0, at);
    const top = frame.y(y);
    const width = Math.max(2, frame.slot - 3);
    const bar = s("rect", { x: x - width / 2, width, y: Math.min(zero, top), height: Math.max(0.8, Math.abs(zero - top)), rx: 1.5, class: "wl-fill" });
    return [bar, ...whisker(frame, series, n, x)];
  });
}
