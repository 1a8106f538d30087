// Where things lie: columns, rows, lanes of strands. Pure geometry, in CSS pixels.
import type { Strand } from "./select.ts";

export interface NodeRef {
  layer: number;
  pos: number;
}

/** The unzoomed lattice inside its stage. */
export interface Layout {
  width: number;
  height: number;
  nTokens: number;
  nLayers: number;
  nHeads: number;
  left: number;
  gap: number;
  top: number;
  bottom: number;
  rowGap: number;
}

/** The horizontal zoom: x' = k x + shift. */
export interface Zoom {
  k: number;
  shift: number;
}

export const MARGIN = { top: 46, right: 44, left: 78, flat: 44, turned: 92 };
const WIDEST_GAP = 168;
const FLAT_GAP = 58;

export function layoutOf(
  size: { width: number; height: number },
  nTokens: number,
  nLayers: number,
  nHeads: number,
): Layout {
  const room = Math.max(40, size.width - MARGIN.left - MARGIN.right);
  const gap = nTokens > 1 ? Math.min(WIDEST_GAP, room / (nTokens - 1)) : WIDEST_GAP;
  const used = gap * Math.max(0, nTokens - 1);
  const bottom = size.height - (gap >= FLAT_GAP ? MARGIN.flat : MARGIN.turned);
  return {
    ...size,
    nTokens,
    nLayers,
    nHeads: Math.max(1, nHeads),
    left: MARGIN.left + (room - used) / 2,
    gap,
    top: MARGIN.top,
    bottom,
    rowGap: (bottom - MARGIN.top) / Math.max(1, nLayers),
  };
}

export function xOf(layout: Layout, zoom: Zoom, pos: number): number {
  return zoom.k * (layout.left + layout.gap * pos) + zoom.shift;
}

export function yOf(layout: Layout, row: number): number {
  return layout.bottom - layout.rowGap * row;
}

/** The first and last column of which anything can be seen. */
export function visibleColumns(layout: Layout, zoom: Zoom): [number, number] {
  const at = (x: number): number => ((x - zoom.shift) / zoom.k - layout.left) / layout.gap;
  return [
    Math.max(0, Math.floor(at(MARGIN.left - 30))),
    Math.min(layout.nTokens - 1, Math.ceil(at(layout.width))),
  ];
}

/** How a strand runs: out of its source column into the head's lane, along it, up into the end. */
export interface Track {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
  lane: number;
  radius: number;
}

export function trackOf(layout: Layout, zoom: Zoom, edge: Strand): Track {
  const y0 = yOf(layout, edge.layer);
  const y1 = yOf(layout, edge.layer + 1);
  const x0 = xOf(layout, zoom, edge.src);
  const x1 = xOf(layout, zoom, edge.dst);
  const part = 0.26 + 0.48 * ((edge.head + 0.5) / layout.nHeads);
  return {
    x0,
    y0,
    x1,
    y1,
    lane: y0 - layout.rowGap * part,
    radius: Math.min((x1 - x0) * 0.42, Math.max(16, Math.min(64, layout.gap * zoom.k * 0.4))),
  };
}

/** The distance of a point from a strand, taken along its three legs. */
export function distanceTo(track: Track, x: number, y: number): number {
  const { x0, y0, x1, y1, lane } = track;
  const along = x < x0 ? x0 - x : x > x1 ? x - x1 : 0;
  const level = Math.hypot(along, y - lane);
  const up = (at: number, from: number, to: number): number =>
    Math.hypot(x - at, y > from ? y - from : y < to ? to - y : 0);
  return Math.min(level, up(x0, y0, lane), up(x1, lane, y1));
}

/** The node under a point, if there is one close enough to be meant. */
export function nodeAt(layout: Layout, zoom: Zoom, x: number, y: number): NodeRef | null {
  const pos = Math.round(((x - zoom.shift) / zoom.k - layout.left) / layout.gap);
  const layer = Math.round((layout.bottom - y) / layout.rowGap);
  if (pos < 0 || pos >= layout.nTokens || layer < 0 || layer > layout.nLayers) return null;
  const reachX = Math.min(9, Math.max(2, (layout.gap * zoom.k) / 2));
  const reachY = Math.min(9, Math.max(2.5, layout.rowGap * 0.4));
  const dx = Math.abs(xOf(layout, zoom, pos) - x) / reachX;
  const dy = Math.abs(yOf(layout, layer) - y) / reachY;
  return dx <= 1 && dy <= 1 ? { layer, pos } : null;
}

export type Side = "past" | "future" | "self" | "outside";

/** On which side of a node another one lies: information jumps any distance, one layer at a time. */
export function sideOf(from: NodeRef, other: NodeRef): Side {
  if (from.layer === other.layer && from.pos === other.pos) return "self";
  if (other.layer < from.layer && other.pos <= from.pos) return "past";
  if (other.layer > from.layer && other.pos >= from.pos) return "future";
  return "outside";
}

/** How an edge lies to a node: written into it, read from it, in one of its cones, or outside. */
export function edgeSide(node: NodeRef, edge: Strand): "in" | "out" | "past" | "future" | "outside" {
  if (edge.layer + 1 === node.layer && edge.dst === node.pos) return "in";
  if (edge.layer === node.layer && edge.src === node.pos) return "out";
  const end = sideOf(node, { layer: edge.layer + 1, pos: edge.dst });
  if (end === "past") return "past";
  const start = sideOf(node, { layer: edge.layer, pos: edge.src });
  return start === "future" ? "future" : "outside";
}

/** Steps of labels that people count in: 1, 2, 5, 10, 20, ... */
function strideOf(gap: number, apart: number): number {
  let stride = 1;
  for (let at = 1; stride * gap < apart; at += 1) stride = [1, 2, 5][at % 3]! * 10 ** Math.floor(at / 3);
  return stride;
}

/**
 * Choose labels that keep `apart` pixels from each other; earlier wishes win. The rest are every
 * so many columns, counted from column 0, so that panning leaves them where they are.
 */
export function cullLabels(
  wishes: Iterable<number>,
  columns: [number, number],
  apart: number,
  x: (pos: number) => number,
): number[] {
  const taken: number[] = [];
  const [first, last] = columns;
  const fits = (pos: number): boolean => {
    const at = lowerBound(taken, pos);
    const before = taken[at - 1];
    const after = taken[at];
    if (after === pos) return false;
    if (before !== undefined && x(pos) - x(before) < apart) return false;
    return after === undefined || x(after) - x(pos) >= apart;
  };
  const take = (pos: number): void => {
    if (pos >= first && pos <= last && fits(pos)) taken.splice(lowerBound(taken, pos), 0, pos);
  };
  for (const pos of wishes) take(pos);
  const stride = strideOf(Math.max(1e-6, x(1) - x(0)), apart);
  for (let pos = Math.ceil(first / stride) * stride; pos <= last; pos += stride) take(pos);
  return taken;
}

function lowerBound(sorted: number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
