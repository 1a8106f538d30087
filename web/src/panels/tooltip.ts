// What is under the pointer, in words and numbers, beside it.
import { type Child, chip, h, number, signClass } from "../dom.ts";
import { follow } from "../effects.ts";
import { headsOf } from "../facts.ts";
import { clipped, count, percent, signed } from "../format.ts";
import type { Columns } from "../grouping.ts";
import type { RankedEdge } from "../select.ts";
import type { Store } from "../store.ts";
import { nodeCard, nodeTitle } from "./card.ts";

const APART = 18;

export function tooltip(store: Store): HTMLElement {
  const element = h("div", { class: "wl-tooltip", role: "tooltip", hidden: true });
  follow(() => {
    const tip = store.tip.value;
    element.hidden = tip === null;
    if (!tip) return;
    const columns = store.columns.value;
    const { hit } = tip;
    if ("edge" in hit) element.replaceChildren(...edgeWords(columns, hit.edge));
    else element.replaceChildren(nodeTitle(columns, hit.node), nodeCard(columns, hit.node), h("div", { class: "wl-hint", text: "click to fix" }));
    place(element, tip.x, tip.y);
  });
  return element;
}

function edgeWords({ scene, labels, noun }: Columns, edge: RankedEdge): (Node | string)[] {
  const { attribution, coverage } = scene;
  const part = coverage.total > 0 ? Math.abs(edge.weight) / coverage.total : 0;
  const share: Child[] = coverage.total > 0 ? [", ", number(part, percent(part), "edge_share"), edge.sums ? " of the net flow" : " of the flow"] : [];
  return [
    h(
      "div",
      { class: "wl-title" },
      chip(clipped(labels[edge.src] ?? "", 18)),
      h("span", { class: "wl-pale", text: "→" }),
      chip(clipped(labels[edge.dst] ?? "", 18)),
      h("div", { class: "wl-pale", text: `layer ${edge.layer}, ${headsOf(edge)}, ${noun} ${edge.src} to ${edge.dst}` }),
    ),
    h(
      "div",
      { class: "wl-weight" },
      number(edge.weight, signed(edge.weight), "weight", signClass(edge.weight)),
      h("div", { class: "wl-pale", text: edge.sums ? `net, ${attribution.unit}` : attribution.unit }),
    ),
    ...(edge.sums ? [h("dl", { class: "wl-facts" }, ...sumRows(edge.sums))] : []),
    h(
      "div",
      { class: "wl-hint" },
      "no. ",
      number(edge.rank + 1, count(edge.rank + 1), "edge_rank"),
      " of ",
      number(coverage.of, count(coverage.of), "all_edges"),
      ...share,
      "; i says what numbers mean",
    ),
  ];
}

/** Below and to the right, or above and to the left: neither cone of the point is covered. */
function place(element: HTMLElement, x: number, y: number): void {
  const parent = element.parentElement;
  if (!parent) return;
  const { offsetWidth: width, offsetHeight: height } = element;
  const right = x + APART + width <= parent.clientWidth;
  const left = right ? x + APART : x - APART - width;
  const wanted = right ? y + APART / 2 : y - APART / 2 - height;
  const top = Math.max(4, Math.min(parent.clientHeight - height - 4, wanted));
  element.style.transform = `translate(${Math.max(4, left)}px, ${top}px)`;
}

/** The two sums of a group edge, each by its name. */
function sumRows({ positive, negative }: { positive: number; negative: number }): HTMLElement[] {
  const row = (name: "constructive" | "destructive", value: number): HTMLElement[] => [
    h("dt", { text: name }),
    h("dd", {}, number(value, signed(value), name, signClass(value))),
  ];
  return [...row("constructive", positive), ...row("destructive", negative)];
}
