// One path in the light: up the residual stream, and along the K/V stream where it hops.
import { trackOf, xOf, yOf } from "../layout.ts";
import type { Pen } from "../pen.ts";
import type { View } from "../view.ts";

const WIDTH = 3;

export function drawPath(context: Pen, view: View): void {
  const { path, layout, zoom, palette } = view;
  if (!path) return;
  context.lineWidth = WIDTH;
  context.strokeStyle = path.weight > 0 ? palette.positive : palette.negative;
  context.lineJoin = "round";
  context.beginPath();
  let read = 0;
  path.nodes.forEach(({ layer: row, pos }, at) => {
    const x = xOf(layout, zoom, pos);
    const y = yOf(layout, row);
    const before = path.nodes[at - 1];
    if (!before) {
      context.moveTo(x, y);
      return;
    }
    if (before.pos !== pos) {
      const { layer, head } = path.reads[read] ?? { layer: row - 1, head: 0 };
      read += 1;
      const edge = { layer, head: head ?? 0, src: before.pos, dst: pos, weight: path.weight };
      const { x0, lane } = trackOf(layout, zoom, edge);
      context.lineTo(x0, lane);
      context.lineTo(x, lane);
    }
    context.lineTo(x, y);
  });
  context.stroke();
}
