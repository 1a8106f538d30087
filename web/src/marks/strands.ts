// The K/V stream: each edge a strand that leaves its source column, runs along its layer in its
// head's lane, and turns up into the column that read it.
import { edgeWords } from "../facts.ts";
import { edgeSide, type Track, trackOf } from "../layout.ts";
import { alphaScale, widthScale } from "../scales.ts";
import type { Pen } from "../pen.ts";
import type { Strand } from "../select.ts";
import type { View } from "../view.ts";

// A strand of which the window shows neither end.
const PASSING = 0.3;
const MOST_SHADED = 600;
// Curves that change colour, curves of one colour, or, while many strands move, bars for curves.
type Style = "shaded" | "plain" | "straight";
const LIT = { in: 1, out: 1, past: 0.72, future: 0.72, outside: 0.07 };

export function drawStrands(context: Pen, view: View): void {
  const { layout, zoom, selection } = view;
  const width = widthScale(selection.strongest, layout);
  const alpha = alphaScale(selection.strongest, selection.edges.length);
  const few = selection.edges.length <= MOST_SHADED;
  const style: Style = few ? "shaded" : view.moving ? "straight" : "plain";
  // The weakest first, so that the strongest lie on top; the edge in the light last of all.
  for (let at = selection.edges.length - 1; at >= 0; at -= 1) {
    const edge = selection.edges[at];
    if (!edge || edge.dst < view.columns[0] || edge.src > view.columns[1]) continue;
    const weight = Math.abs(edge.weight);
    const passing = edge.src < view.columns[0] && edge.dst > view.columns[1];
    context.globalAlpha = alpha(weight) * lightOn(view, edge) * (passing ? PASSING : 1);
    const strand = (): void =>
      drawTrack(context, view, trackOf(layout, zoom, edge), edge.weight, width(weight), style);
    if (context.part) context.part("strand", edgeWords(view.labels, view.scene.attribution.unit, edge), strand);
    else strand();
  }
  if (view.edge) {
    const thick = width(Math.abs(view.edge.weight)) + 1.2;
    context.globalAlpha = 1;
    drawTrack(context, view, trackOf(layout, zoom, view.edge), view.edge.weight, thick, "plain");
  }
  context.globalAlpha = 1;
}

/** How much light falls on an edge, from 0 to 1, given what is pointed at. */
export function lightOn(view: View, edge: Strand): number {
  if (view.path) return 0.1;
  if (view.edge) return view.edge === edge ? 1 : 0.18;
  if (view.layer !== null && edge.layer !== view.layer) return 0.05;
  return view.focus ? LIT[edgeSide(view.focus, edge)] : 1;
}

/**
 * Two curves and, between them, a bar: a bar is many times cheaper to paint than a long stroke.
 * The first curve leaves the residual stream in its colour and takes on that of its sign.
 */
function drawTrack(
  context: Pen,
  { palette, layout }: View,
  track: Track,
  weight: number,
  width: number,
  style: Style,
): void {
  const { x0, y0, x1, y1, lane, radius } = track;
  const sign = weight > 0 ? palette.positive : palette.negative;
  const from = Math.round(x0 + radius);
  const to = Math.max(from, Math.round(x1 - radius));
  context.lineWidth = width;
  context.fillStyle = sign;
  context.strokeStyle = sign;
  const left = Math.max(from, -1);
  const right = Math.min(to, layout.width + 1);
  if (style === "straight") {
    drawBars(context, track, width, layout.width);
    return;
  }
  if (right > left) context.fillRect(left, lane - width / 2, right - left, width);
  if (to > -8 && x1 < layout.width + 8) {
    context.beginPath();
    context.moveTo(to, lane);
    context.bezierCurveTo(x1 - radius * 0.3, lane, x1, lane, x1, y1);
    context.stroke();
  }
  if (from < -8 || x0 > layout.width + 8) return;
  if (style === "shaded" && from - x0 > 4) {
    const shade = context.createLinearGradient(x0, 0, from, 0);
    shade.addColorStop(0, palette.residual);
    shade.addColorStop(1, sign);
    context.strokeStyle = shade;
  }
  context.beginPath();
  context.moveTo(x0, y0);
  context.bezierCurveTo(x0, lane, x0 + radius * 0.3, lane, from, lane);
  context.stroke();
}

function drawBars(context: Pen, track: Track, width: number, most: number): void {
  const { x0, y0, x1, y1, lane } = track;
  const half = width / 2;
  const left = Math.max(x0 - half, -1);
  const right = Math.min(x1 + half, most + 1);
  if (right > left) context.fillRect(left, lane - half, right - left, width);
  if (x0 > 0 && x0 < most) context.fillRect(x0 - half, lane + half, width, y0 - lane - half);
  if (x1 > 0 && x1 < most) context.fillRect(x1 - half, y1, width, lane - half - y1);
}
