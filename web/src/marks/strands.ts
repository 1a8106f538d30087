// The K/V stream: each edge a strand that leaves its source column, runs along its layer in its
// head's lane, and turns up into the column that read it.
import { edgeSide, type Track, trackOf } from "../layout.ts";
import { alphaScale, widthScale } from "../scales.ts";
import type { SceneEdge } from "../scene.gen.ts";
import type { View } from "../view.ts";

const MOST_SHADED = 600;
const LIT = { in: 1, out: 1, past: 0.72, future: 0.72, outside: 0.07 };

export function drawStrands(context: CanvasRenderingContext2D, view: View): void {
  const { layout, zoom, palette, selection } = view;
  const width = widthScale(selection.strongest, layout);
  const alpha = alphaScale(selection.strongest);
  context.lineCap = "round";
  context.lineJoin = "round";
  // The weakest first, so that the strongest lie on top; the edge in the light last of all.
  for (let at = selection.edges.length - 1; at >= 0; at -= 1) {
    const edge = selection.edges[at];
    if (!edge || edge.dst < view.columns[0] || edge.src > view.columns[1]) continue;
    const weight = Math.abs(edge.weight);
    context.globalAlpha = alpha(weight) * lightOn(view, edge);
    const track = trackOf(layout, zoom, edge);
    context.strokeStyle = paint(context, view, edge, track);
    context.lineWidth = width(weight);
    stroke(context, track);
  }
  if (view.edge) {
    context.globalAlpha = 1;
    context.strokeStyle = view.edge.weight > 0 ? palette.positive : palette.negative;
    context.lineWidth = width(Math.abs(view.edge.weight)) + 1.2;
    stroke(context, trackOf(layout, zoom, view.edge));
  }
  context.globalAlpha = 1;
}

/** The colour of its sign, which it takes on after leaving the residual stream of its source. */
function paint(
  context: CanvasRenderingContext2D,
  { palette, selection }: View,
  edge: SceneEdge,
  { x0, x1 }: Track,
): string | CanvasGradient {
  const sign = edge.weight > 0 ? palette.positive : palette.negative;
  if (x1 - x0 < 8 || selection.edges.length > MOST_SHADED) return sign;
  const shade = context.createLinearGradient(x0, 0, x1, 0);
  shade.addColorStop(0, palette.residual);
  shade.addColorStop(Math.min(0.6, 72 / (x1 - x0)), sign);
  return shade;
}

/** How much light falls on an edge, from 0 to 1, given what is pointed at. */
export function lightOn(view: View, edge: SceneEdge): number {
  if (view.edge) return view.edge === edge ? 1 : 0.18;
  if (view.layer !== null && edge.layer !== view.layer) return 0.05;
  return view.focus ? LIT[edgeSide(view.focus, edge)] : 1;
}

function stroke(context: CanvasRenderingContext2D, track: Track): void {
  const { x0, y0, x1, y1, lane, radius } = track;
  context.beginPath();
  context.moveTo(x0, y0);
  context.bezierCurveTo(x0, lane, x0 + radius * 0.3, lane, x0 + radius, lane);
  context.lineTo(x1 - radius, lane);
  context.bezierCurveTo(x1 - radius * 0.3, lane, x1, lane, x1, y1);
  context.stroke();
}
