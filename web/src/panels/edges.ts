// Lists of edges: the strongest of all, or those into and out of a node.
import { fixEnd } from "../actions.ts";
import { bar, chip, h, number, pointing, signClass } from "../dom.ts";
import { edgeWords, headsOf } from "../facts.ts";
import { clipped, signed } from "../format.ts";
import { cutOf } from "../grouping.ts";
import type { RankedEdge } from "../select.ts";
import type { Store } from "../store.ts";
import { cutButton } from "./sources.ts";

const LONGEST_NAME = 18;
const SATURATED = "a saturated read (nearly all attention of its head): a first-order weight may have the wrong sign; cut it to know";

/** One row per edge; `ends` says which of its two columns need to be named. */
export function edgeList(store: Store, edges: RankedEdge[], ends: "both" | "src" | "dst"): HTMLElement {
  const strongest = Math.max(...edges.map((edge) => Math.abs(edge.weight)), 1e-300);
  const list = h("ol", { class: "wl-edges" }, ...edges.map((edge) => row(store, edge, strongest, ends)));
  if (!edges.some(({ saturated }) => saturated)) return list;
  return h("div", {}, list, h("p", { class: "wl-hint", text: `~ is ${SATURATED}` }));
}

function row(store: Store, edge: RankedEdge, strongest: number, ends: "both" | "src" | "dst"): HTMLElement {
  const columns = store.columns.value;
  const onCut = store.live?.onCut;
  const name = (pos: number): HTMLElement => chip(clipped(columns.labels[pos] ?? "", LONGEST_NAME));
  const words = edgeWords(columns.labels, store.scene.attribution.unit, edge) + (edge.saturated ? `; ${SATURATED}` : "");
  const button = h(
    "button",
    { type: "button", title: words, on: { ...pointing(store.hover, { edge }), click: () => fixEnd(store, edge) } },
    h(
      "span",
      { class: "wl-ends" },
      ends === "dst" ? null : name(edge.src),
      ends === "src" ? null : h("span", { class: "wl-pale", text: "→" }),
      ends === "src" ? null : name(edge.dst),
    ),
    h("span", { class: "wl-pale wl-where", text: `L${edge.layer} ${headsOf(edge, true)}` }),
    bar((100 * Math.abs(edge.weight)) / strongest, edge.weight < 0 ? "wl-less" : ""),
    number(edge.weight, signed(edge.weight) + (edge.saturated ? "~" : ""), "weight", signClass(edge.weight)),
  );
  return h("li", { class: onCut ? "wl-cuttable" : "" }, button, cutButton(onCut, cutOf(columns, edge), `Cut: ${words}`));
}
