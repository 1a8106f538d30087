// What runs something in a panel of a live page: a button, and what it needs to know.
import type { Signal } from "@preact/signals-core";
import { h } from "../dom.ts";
import type { NodeRef } from "../layout.ts";
import type { Store } from "../store.ts";

export interface Running {
  onSources(): void;
  onPaths(): void;
  onHops(most: number): void;
  onCone(node: NodeRef): void;
  onOrders(): void;
}

const MOST_HOPS = 8;

/** Nothing where nothing can be run. */
export function runPart(name: "sources" | "paths" | "hops" | "cone" | "orders", { live, choices }: Store): HTMLElement[] {
  return live ? PARTS[name](live, choices.node) : [];
}

export function runPanel(name: "paths" | "hops" | "cone" | "orders", store: Store): HTMLElement | null {
  return store.live && h("section", { class: "wl-panel wl-running" }, ...runPart(name, store));
}

const PARTS: Record<Parameters<typeof runPart>[0], (live: Running, node: Signal<NodeRef | null>) => HTMLElement[]> = {
  sources: (live) => [
    h("h2", { text: "What it depends on" }),
    hint("Cut all reads of each token in turn: one run for every token."),
    button("Cut each token", () => live.onSources()),
  ],
  paths: (live) => [
    hint("Sum all paths into the last token by their number of hops, and follow the strong ones."),
    button("Follow the paths", () => live.onPaths()),
  ],
  hops: (live) => {
    const most = h("input", { type: "number", class: "wl-target wl-narrow", min: 0, max: 64, value: MOST_HOPS, "aria-label": "The largest budget" });
    return [
      hint("What would the model say of its own text if information could make at most so many hops?"),
      h("div", { class: "wl-span" }, h("label", {}, "up to ", most, " hops"), button("Run", () => live.onHops(Math.max(0, Math.round(Number(most.value)) || 0)))),
    ];
  },
  cone: (live, node) => {
    const status = h("p", { class: "wl-hint", role: "status", text: "Perturb one node a little: which others change, through which highway? Click a node to fix it first." });
    const perturb = (): void => {
      if (node.value) live.onCone(node.value);
      else status.textContent = "Click a node of the lattice first: the perturbation starts there.";
    };
    return [status, button("Perturb the fixed node", perturb)];
  },
  orders: (live) => [hint("The same run, its blocks executed in other legal orders."), button("Run the orders", () => live.onOrders())],
};

function hint(text: string): HTMLElement {
  return h("p", { class: "wl-hint", text });
}

function button(text: string, click: () => void): HTMLElement {
  return h("button", { type: "button", class: "wl-run", text, on: { click } });
}
