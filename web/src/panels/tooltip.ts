// What is under the pointer, in words and numbers, beside it.
import { chip, h, number, signClass } from "../dom.ts";
import { clipped, count, percent, signed } from "../format.ts";
import type { NodeRef } from "../layout.ts";
import type { Scene } from "../scene.gen.ts";
import type { RankedEdge } from "../select.ts";
import { nodeCard, nodeTitle } from "./card.ts";

const APART = 18;

export class Tooltip {
  readonly element = h("div", { class: "wl-tooltip", role: "tooltip", hidden: true });

  constructor(
    private readonly scene: Scene,
    private readonly labels: string[],
  ) {}

  showNode(node: NodeRef, x: number, y: number): void {
    const hint = h("div", { class: "wl-hint", text: "click to fix" });
    this.element.replaceChildren(nodeTitle(this.scene, this.labels, node), nodeCard(this.scene, node), hint);
    this.place(x, y);
  }

  showEdge(edge: RankedEdge, x: number, y: number): void {
    const { weighing, kept } = this.scene;
    const part = kept.total > 0 ? Math.abs(edge.weight) / kept.total : 0;
    this.element.replaceChildren(
      h(
        "div",
        { class: "wl-title" },
        chip(clipped(this.labels[edge.src] ?? "", 18)),
        h("span", { class: "wl-pale", text: "→" }),
        chip(clipped(this.labels[edge.dst] ?? "", 18)),
        h("div", {
          class: "wl-pale",
          text: `layer ${edge.layer}, head ${edge.head}, position ${edge.src} to ${edge.dst}`,
        }),
      ),
      h(
        "div",
        { class: "wl-weight" },
        number(edge.weight, signed(edge.weight), "weight", signClass(edge.weight)),
        h("div", { class: "wl-pale", text: weighing.unit }),
      ),
      h(
        "div",
        { class: "wl-hint" },
        "no. ",
        number(edge.rank + 1, count(edge.rank + 1), "edge_rank"),
        " of ",
        number(kept.of, count(kept.of), "all_edges"),
        ...(kept.total > 0 ? [", ", number(part, percent(part), "edge_share"), " of the flow"] : []),
        "; i says what numbers mean",
      ),
    );
    this.place(x, y);
  }

  hide(): void {
    this.element.hidden = true;
  }

  /** Below and to the right, or above and to the left: neither cone of the point is covered. */
  private place(x: number, y: number): void {
    this.element.hidden = false;
    const parent = this.element.parentElement;
    if (!parent) return;
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const right = x + APART + width <= parent.clientWidth;
    const left = right ? x + APART : x - APART - width;
    const wanted = right ? y + APART / 2 : y - APART / 2 - height;
    const top = Math.max(4, Math.min(parent.clientHeight - height - 4, wanted));
    this.element.style.transform = `translate(${Math.max(4, left)}px, ${top}px)`;
  }
}
