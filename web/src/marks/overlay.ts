// Heat on nodes, severed edges dashed, cut nodes crossed out.
import { trackOf, xOf, yOf } from "../layout.ts";
import type { View } from "../view.ts";

const DASH = [5, 4];

export function drawOverlay(context: CanvasRenderingContext2D, view: View): void {
  const { overlay, layout, zoom, palette } = view;
  if (!overlay) return;
  const gap = layout.gap * zoom.k;
  const width = Math.max(1, Math.min(18, gap * 0.8));
  const height = Math.max(1, Math.min(14, layout.rowGap * 0.8));
  context.fillStyle = palette.positive;
  overlay.heat?.forEach((row, at) => {
    const y = yOf(layout, at + overlay.firstRow);
    for (let pos = view.columns[0]; pos <= view.columns[1]; pos += 1) {
      const value = row[pos] ?? null;
      if (value === null) continue;
      context.globalAlpha = 0.12 + 0.8 * value;
      context.fillRect(xOf(layout, zoom, pos) - width / 2, y - height / 2, width, height);
    }
  });
  context.globalAlpha = 1;
  context.strokeStyle = palette.negative;
  context.lineWidth = 2;
  context.setLineDash(DASH);
  for (const { layer, head, src, dst } of overlay.edges) {
    const { x0, lane } = trackOf(layout, zoom, { layer, head: head ?? 0, src, dst, weight: 1 });
    context.beginPath();
    context.moveTo(xOf(layout, zoom, src), yOf(layout, layer));
    context.lineTo(x0, lane);
    context.lineTo(xOf(layout, zoom, dst), lane);
    context.lineTo(xOf(layout, zoom, dst), yOf(layout, layer + 1));
    context.stroke();
  }
  context.setLineDash([]);
  for (const { layer, pos } of overlay.nodes) {
    const x = xOf(layout, zoom, pos);
    const y = yOf(layout, layer);
    context.beginPath();
    context.moveTo(x - 4, y - 4);
    context.lineTo(x + 4, y + 4);
    context.moveTo(x - 4, y + 4);
    context.lineTo(x + 4, y - 4);
    context.stroke();
  }
}
