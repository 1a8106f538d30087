// What the columns are: tokens, or groups of them. A grouped Scene is a Scene of its own, whose
// columns are groups and whose edges are sums, so that everything that draws a Scene draws it.
import { tokenLabels } from "./facts.ts";
import { readableText } from "./format.ts";
import type { NodeRef } from "./layout.ts";
import type { Overlay } from "./overlay.ts";
import type { Scene, SceneEdge, SceneGrouping, ScenePath, SceneToken } from "./scene.gen.ts";
import type { RankedEdge } from "./select.ts";

export type ColumnsName = "tokens" | SceneGrouping["name"];

const NOUNS: Record<ColumnsName, string> = {
  tokens: "position",
  words: "word",
  sentences: "sentence",
  turns: "turn",
};

export interface Columns {
  name: ColumnsName;
  /** What one column is called before its number. */
  noun: string;
  /** The Scene to draw: one column per token or group, and the edges between them. */
  scene: Scene;
  labels: string[];
  /** The column of every token. */
  columnOf: number[];
  grouping: SceneGrouping | null;
}

/** How many columns there are, by name, in the order in which they are offered. */
export function offered(scene: Scene): Map<ColumnsName, number> {
  const sizes: [ColumnsName, number][] = scene.groupings.map((each) => [each.name, each.spans.length]);
  return new Map([["tokens", scene.tokens.length], ...sizes]);
}

export function columnsOf(scene: Scene, name: ColumnsName): Columns {
  const labels = tokenLabels(scene);
  const grouping = scene.groupings.find((each) => each.name === name);
  if (!grouping) {
    const columnOf = scene.tokens.map(({ pos }) => pos);
    return { name: "tokens", noun: NOUNS.tokens, scene, labels, columnOf, grouping: null };
  }
  const tokens = groupTokens(scene, grouping);
  const drawn: Scene = {
    ...scene,
    tokens,
    edges: groupEdges(scene, grouping),
    coverage: grouping.coverage,
    flow: grouping.flow,
    nodes: null,
    paths: null,
    altered: null,
  };
  const named = tokens.map((token, at) => {
    if (token.text !== "") return readableText(token.text);
    return grouping.group_of.flatMap((group, pos) => (group === at ? [labels[pos] ?? ""] : [])).join("");
  });
  return { name, noun: NOUNS[name], scene: drawn, labels: named, columnOf: grouping.group_of, grouping };
}

/** The tokens of a column, as a cut is written: one number, or first-last. */
export function spanOf(columns: Columns, column: number): string {
  const first = columns.columnOf.indexOf(column);
  const last = columns.columnOf.lastIndexOf(column);
  return first === last ? String(first) : `${first}-${last}`;
}

/** An edge, or all edges between two groups, as a cut is written. */
export function cutOf(columns: Columns, { layer, head, src, dst }: RankedEdge): string {
  return `${layer}.${columns.grouping ? "*" : head}:${spanOf(columns, src)}>${spanOf(columns, dst)}`;
}

function groupTokens(scene: Scene, grouping: SceneGrouping): SceneToken[] {
  const chars = Array.from(scene.text);
  const special = grouping.spans.map(() => true);
  grouping.group_of.forEach((group, pos) => (special[group] &&= scene.tokens[pos]?.special ?? false));
  return grouping.spans.map(({ start, end }, pos) => {
    const text = grouping.names[pos] ?? chars.slice(start, end).join("");
    const place = { pos, id: 0, char_start: start, char_end: end, byte_start: 0, byte_end: 0, group: pos };
    return { ...place, text, special: special[pos] ?? false };
  });
}

/** No head is left to choose a lane by: strands into one group share theirs. */
function groupEdges(scene: Scene, grouping: SceneGrouping): (Omit<RankedEdge, "rank"> & SceneEdge)[] {
  const lanes = Math.max(1, scene.model.n_heads);
  return grouping.edges.map(({ layer, src, dst, positive, negative }) => ({
    layer,
    head: dst % lanes,
    src,
    dst,
    weight: positive + negative,
    attention: null,
    saturated: false,
    sums: { positive, negative },
  }));
}

/** The same node among other columns: the group of a token, or the last token of a group. */
export function carried(node: NodeRef | null, from: Columns, to: Columns): NodeRef | null {
  if (!node) return null;
  const token = from.columnOf.lastIndexOf(node.pos);
  return { layer: node.layer, pos: to.columnOf[token] ?? 0 };
}

/** A path of tokens over these columns; hops inside one group are no hops here. */
export function pathOver(columns: Columns, path: ScenePath | null): ScenePath | null {
  if (!path || !columns.grouping) return path;
  const at = (pos: number): number => columns.columnOf[pos] ?? 0;
  const hops = path.nodes.flatMap(({ pos }, n) => {
    const before = path.nodes[n - 1]?.pos ?? pos;
    return before === pos ? [] : [at(before) !== at(pos)];
  });
  return {
    ...path,
    nodes: path.nodes.map(({ layer, pos }) => ({ layer, pos: at(pos) })),
    reads: path.reads.filter((_, n) => hops[n]),
  };
}

/** An overlay of tokens over these columns: a group is as hot as its hottest token. */
export function overlayOver(columns: Columns, overlay: Overlay | null): Overlay | null {
  if (!overlay || !columns.grouping) return overlay;
  const at = (pos: number): number => columns.columnOf[pos] ?? 0;
  const heat = overlay.heat?.map((row) => {
    const found: (number | null)[] = columns.labels.map(() => null);
    row.forEach((value, pos) => {
      const before = found[at(pos)] ?? null;
      if (value !== null) found[at(pos)] = Math.max(before ?? value, value);
    });
    return found;
  });
  const edges = overlay.edges.map((edge) => ({ ...edge, src: at(edge.src), dst: at(edge.dst) }));
  return {
    ...overlay,
    heat: heat ?? null,
    edges: edges.filter(({ src, dst }) => src < dst),
    nodes: overlay.nodes.map(({ layer, pos }) => ({ layer, pos: at(pos) })),
  };
}
