// Where the records lie in the graph: a column for each kind, ordered so that few ties cross.
import type { ClaimsEdge, ClaimsNode, ClaimsPicture } from "../claims.gen.ts";
import type { NodeType } from "./records.ts";

const COLUMNS: { name: string; types: NodeType[] }[] = [
  { name: "Sources", types: ["thinker", "paper", "artifact"] },
  { name: "Ideas", types: ["framework", "method", "concept", "question"] },
  { name: "Claims", types: ["claim"] },
  { name: "Experiments", types: ["experiment"] },
  { name: "Runs and verdicts", types: ["run", "verdict"] },
];
const SWEEPS = 8;
const HEAD = 30;
const CLOSEST = 17; // pixels from row to row: less cannot be read
const WIDEST = 44;

export interface Placed {
  node: ClaimsNode;
  column: number;
  row: number;
  x: number;
  y: number;
}

export interface Layered {
  width: number;
  height: number;
  /** How far apart the closest rows lie. */
  pitch: number;
  columns: { name: string; x: number; width: number }[];
  nodes: Placed[];
  edges: ClaimsEdge[];
}

/** The same records and the same size give the same drawing. */
export function layered(picture: ClaimsPicture, hidden: ReadonlySet<NodeType>, size: { width: number; height: number }): Layered {
  const shown = picture.nodes.filter(({ type }) => !hidden.has(type));
  const kinds = COLUMNS.filter(({ types }) => shown.some(({ type }) => types.includes(type)));
  const lanes = kinds.map(({ types }) => shown.filter(({ type }) => types.includes(type)));
  const there = new Set(shown.map(({ id }) => id));
  const edges = picture.edges.filter(({ source, target }) => there.has(source) && there.has(target) && source !== target);
  const ordered = untangled(lanes, edges);
  const most = Math.max(1, ...ordered.map((lane) => lane.length));
  const pitch = Math.min(WIDEST, Math.max(CLOSEST, (size.height - HEAD) / most));
  const height = Math.max(size.height, HEAD + most * pitch);
  const width = size.width / Math.max(1, kinds.length);
  return {
    width: size.width,
    height,
    pitch,
    columns: kinds.map(({ name }, at) => ({ name, x: at * width, width })),
    nodes: ordered.flatMap((lane, column) => {
      const step = Math.min(WIDEST, (height - HEAD) / Math.max(1, lane.length));
      const first = HEAD + (height - HEAD - step * lane.length) / 2;
      return lane.map((node, row) => ({ node, column, row, x: column * width + 8, y: first + step * (row + 0.5) }));
    }),
    edges,
  };
}

/** Move every record to the middle of what it is tied to in other columns, to and fro. */
function untangled(lanes: ClaimsNode[][], edges: ClaimsEdge[]): ClaimsNode[][] {
  const tied = new Map<string, string[]>();
  for (const { source, target } of edges) {
    tied.set(source, [...(tied.get(source) ?? []), target]);
    tied.set(target, [...(tied.get(target) ?? []), source]);
  }
  const found = lanes.map((lane) => [...lane]);
  const place = new Map<string, number>();
  const note = (lane: ClaimsNode[]): void => lane.forEach(({ id }, at) => place.set(id, (at + 0.5) / lane.length));
  found.forEach(note);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const round = sweep % 2 === 0 ? found : [...found].reverse();
    for (const lane of round) {
      const inside = new Set(lane.map(({ id }) => id));
      const middle = new Map(
        lane.map(({ id }): [string, number] => {
          const others = (tied.get(id) ?? []).filter((one) => !inside.has(one)).map((one) => place.get(one) ?? 0);
          return [id, others.length > 0 ? others.reduce((sum, one) => sum + one, 0) / others.length : (place.get(id) ?? 0)];
        }),
      );
      lane.sort((one, other) => (middle.get(one.id) ?? 0) - (middle.get(other.id) ?? 0));
      note(lane);
    }
  }
  return found;
}
