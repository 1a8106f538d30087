// A ring around the node in the light and around the fixed one.
import { select } from "d3-selection";
import { type NodeRef, xOf, yOf } from "../layout.ts";
import type { View } from "../view.ts";

export function placeFocus(over: HTMLElement, view: View): void {
  const { layout, zoom } = view;
  const rings: (NodeRef & { kind: string })[] = [];
  if (view.fixed) rings.push({ ...view.fixed, kind: "wl-fixed" });
  if (view.focus) rings.push({ ...view.focus, kind: "wl-focused" });
  select(over)
    .selectAll<HTMLDivElement, NodeRef & { kind: string }>(".wl-ring")
    .data(rings, (ring) => ring.kind)
    .join("div")
    .attr("class", (ring) => `wl-ring ${ring.kind}`)
    .style("transform", (ring) => {
      const x = xOf(layout, zoom, ring.pos);
      const y = yOf(layout, ring.layer);
      return `translate(${x}px, ${y}px) translate(-50%, -50%)`;
    });
}
