// What runs something in a panel of a live page: a button, and what it needs to know.
import { h } from "../dom.ts";
import type { NodeRef } from "../layout.ts";

export interface Running {
  onSources(): void;
  onPaths(): void;
  onHops(most: number): void;
  onCone(node: NodeRef): void;
  onOrders(): void;
}

const MOST_HOPS = 8;

export function runPart(name: "sources" | "paths" | "hops" | "cone" | "orders", live: Running, node: () => NodeRef | null): HTMLElement {
  const button = (text: string, click: () => void): HTMLElement =>
    h("button", { type: "button", class: "wl-run", text, on: { click } });
  const parts: Record<typeof name, () => HTMLElement[]> = {
    sources: () => [
      h("h2", { text: "What it depends on" }),
      h("p", { class: "wl-hint", text: "Cut all reads of each token in turn: one run for every token." }),
      button("Cut each token", () => live.onSources()),
    ],
    paths: () => [
      h("p", { class: "wl-hint", text: "Sum all paths into the last token by their number of hops, and follow the strong ones." }),
      button("Follow the paths", () => live.onPaths()),
    ],
    hops: () => {
      const most = h("input", { type: "number", class: "wl-target wl-narrow", min: 0, max: 64, value: MOST_HOPS, "aria-label": "The largest budget" });
      return [
        h("p", { class: "wl-hint", text: "What would the model say of its own text if information could make at most so many hops?" }),
        h("div", { class: "wl-span" }, h("label", {}, "up to ", most, " hops"), button("Run", () => live.onHops(Math.max(0, Math.round(Number(most.value)) || 0)))),
      ];
    },
    cone: () => {
      const said = h("p", { class: "wl-hint", role: "status", text: "Perturb one node a little: which others change, through which highway? Click a node to fix it first." });
      const perturb = (): void => {
        const at = node();
        if (at) live.onCone(at);
        else said.textContent = "Click a node of the lattice first: the perturbation starts there.";
      };
      return [said, button("Perturb the fixed node", perturb)];
    },
    orders: () => [
      h("p", { class: "wl-hint", text: "The same run, its blocks executed in other legal orders." }),
      button("Run the orders", () => live.onOrders()),
    ],
  };
  return h("section", { class: "wl-panel wl-running" }, ...parts[name]());
}
