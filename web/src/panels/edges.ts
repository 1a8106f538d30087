// Lists of edges: the strongest of all, or those into and out of a node.
import { chip, h, number, signClass } from "../dom.ts";
import { edgeWords } from "../facts.ts";
import { clipped, signed } from "../format.ts";
import type { Scene } from "../scene.gen.ts";
import type { RankedEdge } from "../select.ts";
import { cutButton } from "./sources.ts";

export interface EdgeListEvents {
  onEdge(edge: RankedEdge | null): void;
  onPick(edge: RankedEdge): void;
  /** Cut it and run again; left out where nothing can be run. */
  onCut?: ((cut: string) => void) | undefined;
}

/** An edge as a cut is written. */
export function cutOf({ layer, head, src, dst }: RankedEdge): string {
  return `${layer}.${head}:${src}>${dst}`;
}

/** One row per edge; `ends` says which of its two columns need to be named. */
export function edgeList(
  scene: Scene,
  labels: string[],
  edges: RankedEdge[],
  ends: "both" | "src" | "dst",
  events: EdgeListEvents,
): HTMLElement {
  const strongest = Math.max(...edges.map((edge) => Math.abs(edge.weight)), 1e-300);
  const room = 18;
  const name = (pos: number): HTMLElement => chip(clipped(labels[pos] ?? "", room));
  const rows = edges.map((edge) => {
    const bar = h("i", { class: edge.weight < 0 ? "wl-less" : "" });
    bar.style.width = `${(100 * Math.abs(edge.weight)) / strongest}%`;
    const words = edgeWords(labels, scene.weighing.unit, edge);
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
      h("span", { class: "wl-pale wl-where", text: `L${edge.layer} h${edge.head}` }),
      h("span", { class: "wl-bar", "aria-hidden": "true" }, bar),
      number(edge.weight, signed(edge.weight), "weight", signClass(edge.weight)),
    );
    return h("li", { class: events.onCut ? "wl-cuttable" : "" }, button, cutButton(events.onCut, cutOf(edge), `Cut: ${words}`));
  });
  return h("ol", { class: "wl-edges" }, ...rows);
}
