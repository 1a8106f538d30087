// What a path says: where it goes, how it is cut, how many there are.
import type { ScenePath } from "./scene.gen.ts";

const WRITTEN_OUT = 15;

/** The reads of a path as cuts: cutting them all takes the path away. */
export function cutsOf(path: ScenePath): string[] {
  const hops = path.nodes.flatMap((node, at) => {
    const before = path.nodes[at - 1];
    return before && before.pos !== node.pos ? [[before.pos, node.pos]] : [];
  });
  return path.reads.map(({ layer, head }, at) => `${layer}.${head ?? "*"}:${hops[at]?.[0]}>${hops[at]?.[1]}`);
}

/** A count of paths: written out while it can be read, in powers of ten beyond. */
export function waysInWords(ways: string): string {
  if (ways.length <= WRITTEN_OUT) return ways.replace(/\B(?=(\d{3})+$)/g, ",");
  return `${ways[0]}.${ways.slice(1, 3)}e${ways.length - 1}`;
}

/** Where a path begins and where it hops: token and column, and the layer and head of each read. */
export function routeWords(path: ScenePath, labels: string[]): string {
  const name = (pos: number): string => `${labels[pos] ?? ""} (${pos})`;
  const stops = path.nodes.filter((node, at) => at === 0 || node.pos !== path.nodes[at - 1]?.pos);
  return stops
    .map(({ pos }, at) => {
      const read = path.reads[at - 1];
      if (!read) return name(pos);
      const where = read.head === null ? `L${read.layer}` : `L${read.layer} h${read.head}`;
      return `→ ${where} → ${name(pos)}`;
    })
    .join(" ");
}
