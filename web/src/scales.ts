// From weights to what is seen.
import { type ScalePower, scaleSqrt } from "d3-scale";
import type { Layout } from "./layout.ts";

const THINNEST = 0.7;

/** Width of a strand, in pixels: the square root of |weight|, so that area follows weight. */
export function widthScale(strongest: number, layout: Layout): ScalePower<number, number> {
  const widest = Math.max(2.5, Math.min(7, layout.rowGap * 0.34));
  return scaleSqrt()
    .domain([0, strongest || 1])
    .range([THINNEST, widest])
    .clamp(true);
}

/** How strongly a strand is painted: faint ones stay behind, the more so
 * the more there are. */
export function alphaScale(strongest: number, many: number): ScalePower<number, number> {
  return scaleSqrt()
    .domain([0, strongest || 1])
    .range([0.38 * Math.min(1, Math.sqrt(400 / Math.max(1, many))), 0.95])
    .clamp(true);
}
