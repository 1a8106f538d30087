// Heat under the strands; over them, severed edges dashed and cut nodes crossed out.
import { trackOf, xOf, yOf } from "../layout.ts";
import { opacity } from "../overlay.ts";
import type { Pen } from "../pen.ts";
import type { View } from "../view.ts";

const DASH = [5, 4];
const ARM = 5;

export function drawHeat(context: Pen, view: View): void {
  const { overlay, layout, zoom, palette } = view;
  if (!overlay?.heat) return;
  const width = Math.max(1, Math.min(40, layout.gap * zoom.k * 0.86));
  const height = Math.max(1, layout.rowGap * 0.86);
  context.fillStyle = palette.heat;
  overlay.heat.forEach((row, at) => {
    const y = yOf(layout, at + overlay.firstRow);
    for (let pos = view.columns[0]; pos <= view.columns[1]; pos += 1) {
      const value = row[pos] ?? null;
      if (value === null) continue;
      context.globalAlpha = opacity(value);
      context.fillRect(xOf(layout, zoom, pos) - width / 2, y - height / 2, width, height);
    }
  });
  context.globalAlpha = 1;
}

export function drawSevered(context: Pen, view: View): void {
  const { overlay, layout, zoom, palette } = view;
  if (!overlay) return;
  const ways = (): void => {
    for (const { layer, head, src, dst } of overlay.edges) {
      const middle = (layout.nHeads - 1) / 2; // all heads: one line for all of them
      const edge = { layer, head: head ?? middle, src, dst, weight: 1 };
      const { x0, y0, x1, y1, lane } = trackOf(layout, zoom, edge);
      context.moveTo(x0, y0);
      context.lineTo(x0, lane);
      context.lineTo(x1, lane);
      context.lineTo(x1, y1);
    }
  };
  stroke(context, ways, palette.paper, 3, []);
  stroke(context, ways, palette.ink, 2, DASH);
  const crosses = (): void => {
    for (const { layer, pos } of overlay.nodes) {
      const x = xOf(layout, zoom, pos);
      const y = yOf(layout, layer);
      context.moveTo(x - ARM, y - ARM);
      context.lineTo(x + ARM, y + ARM);
      context.moveTo(x - ARM, y + ARM);
      context.lineTo(x + ARM, y - ARM);
    }
  };
  stroke(context, crosses, palette.paper, 6, []);
  stroke(context, crosses, palette.ink, 2.5, []);
}

function stroke(
  context: Pen,
  path: () => void,
  colour: string,
  width: number,
  dash: number[],
): void {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dash);
  context.beginPath();
  path();
  context.stroke();
  context.setLineDash([]);
}
