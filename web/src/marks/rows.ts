// The names of the rows: embedding, layers, output; and the band of the layer in the light.
import { select } from "d3-selection";
import { xOf, yOf } from "../layout.ts";
import type { View } from "../view.ts";

interface RowName {
  key: string;
  text: string;
  y: number;
  kind: string;
}

const APART = 15;

function namesOf(view: View): RowName[] {
  const { layout } = view;
  const layers = layout.nLayers;
  const every = [1, 2, 5, 10, 20, 50].find((step) => step * layout.rowGap >= APART) ?? 100;
  const names: RowName[] = [
    { key: "embedding", text: "embedding", y: yOf(layout, 0), kind: "wl-end" },
    { key: "output", text: "output", y: yOf(layout, layers), kind: "wl-end" },
  ];
  for (let layer = 0; layer < layers; layer += 1) {
    const lit = view.layer === layer || view.edge?.layer === layer;
    const y = yOf(layout, layer + 0.5);
    const crowded = Math.min(y - yOf(layout, layers), yOf(layout, 0) - y) < 13;
    if (!lit && (layer % every !== 0 || crowded)) continue;
    names.push({ key: `layer ${layer}`, text: String(layer), y, kind: lit ? "wl-lit" : "" });
  }
  return names;
}

export function placeRows(over: HTMLElement, view: View): void {
  select(over)
    .selectAll<HTMLDivElement, RowName>(".wl-row")
    .data(namesOf(view), (row) => row.key)
    .join("div")
    .attr("class", (row) => `wl-row ${row.kind}`)
    .style("transform", (row) => `translateY(${row.y}px) translateY(-50%)`)
    .text((row) => row.text);
}

/** The band between two rows in which a layer's strands run, behind everything. */
export function placeBand(under: HTMLElement, view: View): void {
  const { layout, zoom, layer } = view;
  select(under)
    .selectAll<HTMLDivElement, number>(".wl-band")
    .data(layer === null ? [] : [layer])
    .join("div")
    .attr("class", "wl-band")
    .style("left", `${Math.max(0, xOf(layout, zoom, 0) - 18)}px`)
    .style("width", `${xOf(layout, zoom, layout.nTokens - 1) - xOf(layout, zoom, 0) + 36}px`)
    .style("top", (at) => `${yOf(layout, at + 1)}px`)
    .style("height", `${layout.rowGap}px`);
}
