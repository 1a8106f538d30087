// The lattice itself: every node as a pale dot; those that a drawn edge touches, darker.
import { xOf, yOf } from "../layout.ts";
import type { Pen } from "../pen.ts";
import type { View } from "../view.ts";
import { lightOn } from "./strands.ts";

export function drawDots(context: Pen, view: View): void {
  const { layout, zoom, palette } = view;
  const gap = layout.gap * zoom.k;
  const radius = Math.max(0.5, Math.min(2.1, Math.min(gap, layout.rowGap) * 0.1));
  context.fillStyle = palette.dot;
  if (gap < 2.5) {
    drawRows(context, view);
    return;
  }
  for (let pos = view.columns[0]; pos <= view.columns[1]; pos += 1) {
    const x = xOf(layout, zoom, pos);
    for (let row = 0; row <= layout.nLayers; row += 1) {
      dot(context, x, yOf(layout, row), radius);
    }
  }
}

/** The ends of the drawn edges, as bright as the brightest edge that touches them. */
export function drawBusyDots(context: Pen, view: View): void {
  const { layout, zoom, palette, selection } = view;
  const gap = layout.gap * zoom.k;
  if (gap < 7) return;
  const radius = Math.max(0.8, Math.min(3, Math.min(gap * 0.2, layout.rowGap * 0.14)));
  const bright = new Map<number, number>();
  const touch = (layer: number, pos: number, light: number): void => {
    const key = layer * layout.nTokens + pos;
    bright.set(key, Math.max(light, bright.get(key) ?? 0));
  };
  for (const edge of selection.edges) {
    const light = lightOn(view, edge);
    touch(edge.layer, edge.src, light);
    touch(edge.layer + 1, edge.dst, light);
  }
  context.fillStyle = palette.busy;
  for (const [key, light] of bright) {
    const pos = key % layout.nTokens;
    if (pos < view.columns[0] || pos > view.columns[1]) continue;
    context.globalAlpha = light;
    dot(context, xOf(layout, zoom, pos), yOf(layout, Math.floor(key / layout.nTokens)), radius);
  }
  context.globalAlpha = 1;
}

/** Below a few pixels per column, dots are one row of mist. */
function drawRows(context: Pen, view: View): void {
  const { layout, zoom } = view;
  const from = xOf(layout, zoom, view.columns[0]);
  const to = xOf(layout, zoom, view.columns[1]);
  context.globalAlpha = 0.5;
  for (let row = 0; row <= layout.nLayers; row += 1) {
    context.fillRect(from, yOf(layout, row) - 0.5, to - from, 1);
  }
  context.globalAlpha = 1;
}

function dot(context: Pen, x: number, y: number, radius: number): void {
  if (radius < 1.2) {
    context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
    return;
  }
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
