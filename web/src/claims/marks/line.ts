// A line through its points, over the band of its interval.
import { s } from "../../dom.ts";
import type { ClaimsSeries } from "../../claims.gen.ts";
import type { Frame } from "../frame.ts";

export function drawLine(frame: Frame, series: ClaimsSeries, at: number): SVGElement[] {
  const place = (n: number, y: number): string => `${frame.x(series.x[n] ?? 0, at).toFixed(1)} ${frame.y(y).toFixed(1)}`;
  const drawn: SVGElement[] = [];
  const ends = series.x.flatMap((_, n) => {
    const [low, high] = [series.low?.[n] ?? null, series.high?.[n] ?? null];
    return low === null || high === null ? [] : [{ low: place(n, low), high: place(n, high) }];
  });
  if (ends.length > 1) {
    const round = [...ends.map(({ high }) => high), ...ends.map(({ low }) => low).reverse()];
    drawn.push(s("path", { d: `M${round.join("L")}Z`, class: "wl-within" }));
  }
  let path = "";
  series.y.forEach((y, n) => {
    if (y === null) return;
    path += `${n > 0 && (series.y[n - 1] ?? null) !== null ? "L" : "M"}${place(n, y)}`;
  });
  drawn.push(s("path", { d: path, class: "wl-curve" }));
  return drawn;
}
