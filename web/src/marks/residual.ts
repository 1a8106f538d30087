// The residual stream: one vertical line per column, the road that goes up.
import { xOf, yOf } from "../layout.ts";
import type { Pen } from "../pen.ts";
import type { View } from "../view.ts";

const FINEST = 2.5;

export function drawResidual(context: Pen, view: View): void {
  const gap = view.layout.gap * view.zoom.k;
  const width = gap > 24 ? 1.5 : 1;
  context.fillStyle = view.palette.residual;
  context.globalAlpha = Math.max(0.1, Math.min(0.5, gap / 26));
  if (gap < FINEST) {
    drawMist(context, view, gap);
    return;
  }
  for (let pos = view.columns[0]; pos <= view.columns[1]; pos += 1) line(context, view, pos, width);
  context.globalAlpha = 1;
}

/** Below a few pixels per column, lines are one wash of the same shade. */
function drawMist(context: Pen, { layout, zoom, columns }: View, gap: number): void {
  const from = xOf(layout, zoom, columns[0]);
  const top = yOf(layout, layout.nLayers);
  context.globalAlpha *= Math.min(1, 1 / gap);
  context.fillRect(from, top, xOf(layout, zoom, columns[1]) - from, yOf(layout, 0) - top);
  context.globalAlpha = 1;
}

/** The column in the light, drawn again, stronger. */
export function drawLitResidual(context: Pen, view: View): void {
  if (!view.focus) return;
  context.fillStyle = view.palette.residual;
  line(context, view, view.focus.pos, 2.5);
}

function line(context: Pen, view: View, pos: number, width: number): void {
  const { layout, zoom } = view;
  const top = yOf(layout, layout.nLayers);
  context.fillRect(xOf(layout, zoom, pos) - width / 2, top, width, yOf(layout, 0) - top);
}
