// Lists of edges: the strongest of all, or those into and out of a node.
import { chip, h, number, signClass } from "../dom.ts";
import { edgeWords, headsOf } from "../facts.ts";
import { clipped, signed } from "../format.ts";
import { type Columns, cutOf } from "../grouping.ts";
import type { RankedEdge } from "../select.ts";
import { cutButton } from "./sources.ts";

export interface EdgeListEvents {
  onEdge(edge: RankedEdge | null): void;
  onPick(edge: RankedEdge): void;
  /** Cut it and run again; left out where nothing can be run. */
  onCut?: ((cut: string) => void) | undefined;
}

const SATURATED = "a saturated read (nearly all attention of its head): a first-order weight may have the wrong sign; cut it to know";

/** One row per edge; `ends` says which of its two columns need to be named. */
export function edgeList(
  columns: Columns,
  edges: RankedEdge[],
  ends: "both" | "src" | "dst",
  events: EdgeListEvents,
): HTMLElement {
  const { scene, labels } = columns;
  const strongest = Math.max(...edges.map((edge) => Math.abs(edge.weight)), 1e-300);
  const room = 18;
  const name = (pos: number): HTMLElement => chip(clipped(labels[pos] ?? "", room));
  const rows = edges.map((edge) => {
    const bar = h("i", { class: edge.weight < 0 ? "wl-less" : "" });
    bar.style.width = `${(100 * Math.abs(edge.weight)) / strongest}%`;
    const words = edgeWords(labels, scene.attribution.unit, edge) + (edge.saturated ? `; ${SATURATED}` : "");
    const button = h(
      "button",
      {
        type: "button",
        title: words,
        on: {
          pointerenter: () => events.onEdge(edge),
          pointerleave: () => events.onEdge(null),
          focus: () => events.onEdge(edge),
          blur: () => events.onEdge(null),
          click: () => events.onPick(edge),
        },
      },
      h(
        "span",
        { class: "wl-ends" },
        ends === "dst" ? null : name(edge.src),
        ends === "src" ? null : h("span", { class: "wl-pale", text: "→" }),
        ends === "src" ? null : name(edge.dst),
      ),
      h("span", { class: "wl-pale wl-where", text: `L${edge.layer} ${headsOf(edge, true)}` }),
      h("span", { class: "wl-bar", "aria-hidden": "true" }, bar),
      number(edge.weight, signed(edge.weight) + (edge.saturated ? "~" : ""), "weight", signClass(edge.weight)),
    );
    return h("li", { class: events.onCut ? "wl-cuttable" : "" }, button, cutButton(events.onCut, cutOf(columns, edge), `Cut: ${words}`));
  });
  const list = h("ol", { class: "wl-edges" }, ...rows);
  if (!edges.some(({ saturated }) => saturated)) return list;
  return h("div", {}, list, h("p", { class: "wl-hint", text: `~ is ${SATURATED}` }));
}
