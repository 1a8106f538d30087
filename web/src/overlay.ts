// What an altered run lays over the lattice: heat on nodes or blocks, severed edges, cut nodes.
import type { NodeRef } from "./layout.ts";
import type { SceneCone, SceneCut, SceneOrder } from "./scene.gen.ts";

export interface Overlay {
  /** 0 to 1 per row and column, null where nothing is painted. */
  heat: (number | null)[][] | null;
  /** The first row of `heat` on the lattice. */
  firstRow: number;
  edges: SceneCut["edges"];
  nodes: NodeRef[];
}

const DECADES = 3;

/** Relative changes as heat: a third less for each power of ten below the largest. */
export function coneHeat(cone: SceneCone, through: string): (number | null)[][] {
  const response = cone.responses.find((one) => one.through === through);
  const matrix = response?.relative ?? [];
  const most = Math.max(0, ...matrix.flat());
  return matrix.map((row) =>
    row.map((value) => {
      if (value === 0 || most === 0) return null; // exactly zero stays unpainted
      return Math.max(0.06, 1 + Math.log10(value / most) / DECADES);
    }),
  );
}

/** When a block ran, from 0 (first) to 1 (last); null where it did not run. */
export function orderHeat(order: SceneOrder): (number | null)[][] {
  const last = Math.max(1, order.n_slices - 1);
  return order.slices.map((row) => row.map((at) => (at === null ? null : 0.1 + (0.9 * at) / last)));
}

export function cutOverlay(cut: SceneCut): Overlay {
  return { heat: null, firstRow: 0, edges: cut.edges, nodes: cut.nodes };
}

/** A colour class for a number of hops: 0 to 7 in equal steps up to the most that occurs. */
export function hopStep(hops: number | null, most: number): number | null {
  if (hops === null) return null;
  return most === 0 ? 0 : Math.min(7, Math.round((7 * hops) / most));
}
