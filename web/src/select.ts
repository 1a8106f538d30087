// Which edges are drawn: the strongest n, with or without those read from column 0.
import { bisectLeft, cumsum } from "d3-array";
import type { Scene, SceneEdge } from "./scene.gen.ts";

/** Where a read is and what it weighs: all that a strand is drawn from. */
export type Strand = Omit<SceneEdge, "attention" | "saturated">;

/** An edge of the Scene with its place in the order of strength (0 is the strongest). */
export interface RankedEdge extends Strand {
  rank: number;
  /** A first-order weight whose sign is not to be trusted. */
  saturated?: boolean;
  /** Of an edge between groups: the sums over heads and tokens whose net is its weight. */
  sums?: { positive: number; negative: number };
}

interface Ranking {
  edges: RankedEdge[];
  held: Float64Array;
}

/** The Scene's edges, prepared so that every position of the slider is one look-up. */
export interface Ranked {
  all: Ranking;
  withoutSink: Ranking;
  of: number;
  total: number;
}

/** What one position of the slider draws, and which part of the flow it holds. */
export interface Selection {
  edges: RankedEdge[];
  available: number;
  of: number;
  share: number;
  strongest: number;
}

export function rank(scene: Scene): Ranked {
  const all = scene.edges.map((edge, at) => ({ ...edge, rank: at }));
  return {
    all: ranking(all),
    withoutSink: ranking(all.filter((edge) => edge.src !== 0)),
    of: scene.coverage.of,
    total: scene.coverage.total,
  };
}

function ranking(edges: RankedEdge[]): Ranking {
  return { edges, held: cumsum(edges, (edge) => Math.abs(edge.weight)) };
}

/** How many edges the slider can reach. */
export function available(ranked: Ranked, sink: boolean): number {
  return (sink ? ranked.all : ranked.withoutSink).edges.length;
}

/** The strongest `n` edges; with `sink` false, of those not read from column 0. */
export function select(ranked: Ranked, n: number, sink: boolean): Selection {
  const { edges, held } = sink ? ranked.all : ranked.withoutSink;
  const kept = Math.max(0, Math.min(Math.round(n), edges.length));
  const sum = kept > 0 ? (held[kept - 1] ?? 0) : 0;
  return {
    edges: edges.slice(0, kept),
    available: edges.length,
    of: ranked.of,
    share: ranked.total > 0 ? sum / ranked.total : 0,
    strongest: Math.abs(edges[0]?.weight ?? 0),
  };
}

/** How many edges the first picture draws: half of what is held, but neither bare nor a thicket. */
export function firstCount(ranked: Ranked, sink: boolean, columns: number): number {
  const { edges, held } = sink ? ranked.all : ranked.withoutSink;
  if (edges.length === 0) return 0;
  const half = bisectLeft(held, (held[edges.length - 1] ?? 0) / 2) + 1;
  const most = Math.min(400, 48 + 1.2 * columns);
  return Math.round(Math.min(edges.length, Math.max(24, Math.min(half, most))));
}

/** The slider is logarithmic: its place (0..1) for a count, and back. */
export function countAt(place: number, most: number): number {
  if (place <= 0 || most === 0) return 0;
  return Math.max(1, Math.min(most, Math.round(most ** place)));
}

export function placeOf(n: number, most: number): number {
  if (n <= 0 || most === 0) return 0;
  if (most === 1) return 1;
  return Math.max(0.001, Math.log(Math.min(n, most)) / Math.log(most));
}
