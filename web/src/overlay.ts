// What altered runs lay over the lattice: heat on nodes or blocks, severed edges, cut nodes.
import { max } from "d3-array";
import type { NodeRef } from "./layout.ts";
import type { SceneCone, SceneCut, SceneOrder } from "./scene.gen.ts";

/** 0 to 1 per row and column, null where nothing is painted. */
export type Heat = (number | null)[][];

export interface Overlay {
  heat: Heat | null;
  /** The first row of `heat` on the lattice. */
  firstRow: number;
  edges: SceneCut["edges"];
  nodes: NodeRef[];
}

/** A block lies so many rows above the row that it reads. */
export const HALF_ROW = 0.5;

/** A cone is painted over so many powers of ten; what is smaller still is as pale as the last. */
export const DECADES = 3;
const PALEST = 0.06;

/** The largest relative change of a response, 0 where nothing changes. */
export function largest(cone: SceneCone, through: string): number {
  const response = cone.responses.find((one) => one.through === through);
  return max(response?.relative ?? [], (row) => max(row)) ?? 0;
}

/** Relative changes as heat: a third less for each power of ten below the largest. */
export function coneHeat(cone: SceneCone, through: string): Heat {
  const response = cone.responses.find((one) => one.through === through);
  const most = largest(cone, through);
  return (response?.relative ?? []).map((row) =>
    row.map((value) => (value === 0 || most === 0 ? null : shade(value, most))), // exactly zero stays unpainted
  );
}

function shade(value: number, most: number): number {
  return Math.max(PALEST, 1 + (Math.log10(value) - Math.log10(most)) / DECADES);
}

/** When a block ran, from 0.1 (first) to 1 (last); null where it did not run. */
export function orderHeat(order: SceneOrder): Heat {
  const last = Math.max(1, order.n_slices - 1);
  return order.slices.map((row) => row.map((at) => (at === null ? null : 0.1 + (0.9 * at) / last)));
}

/** How strong a block is that ran in an earlier slice. */
export const DONE = 0.22;

/** An order as it stands at one slice: what ran before is pale, what runs now strong, the rest unpainted. */
export function orderHeatAt(order: SceneOrder, slice: number): Heat {
  return order.slices.map((row) =>
    row.map((at) => (at === null || at > slice ? null : at === slice ? 1 : DONE)),
  );
}

/** The slice that is shown when this share of the whole run's time is over; past the end the number of slices. */
export function sliceAfter(share: number, nSlices: number): number {
  return Math.max(0, Math.min(nSlices, Math.floor(share * nSlices)));
}

/** How opaque a heat is painted, on the lattice and in its legend. */
export function opacity(heat: number): number {
  return 0.08 + 0.57 * heat;
}

/** One thing painted as heat at a time; severed edges lie over it. Null where there is neither. */
export function together(heat: Heat | null, firstRow: number, cut: SceneCut | null): Overlay | null {
  if (!heat && !cut) return null;
  return { heat, firstRow, edges: cut?.edges ?? [], nodes: cut?.nodes ?? [] };
}

/** A colour class for a number of hops: 0 to 7 in equal steps up to the most that occurs. */
export function hopStep(hops: number | null, most: number): number | null {
  if (hops === null) return null;
  return most === 0 ? 0 : Math.min(7, Math.round((7 * hops) / most));
}
