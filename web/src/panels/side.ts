// The side panel: the fixed node with its edges, or, when none is fixed, the strongest reads.
import { fix } from "../actions.ts";
import { h, number } from "../dom.ts";
import { nodeFacts } from "../facts.ts";
import { count } from "../format.ts";
import type { NodeRef } from "../layout.ts";
import type { Scene } from "../scene.gen.ts";
import type { RankedEdge } from "../select.ts";
import type { Store } from "../store.ts";
import { flowRows, insideNote, nodeCard, nodeTitle } from "./card.ts";
import { edgeList } from "./edges.ts";
import { cutButton } from "./sources.ts";

const LISTED = 12;

export function sidePanel(store: Store): HTMLElement {
  return h("div", {
    class: "wl-side-host",
    content: () => {
      const node = store.choices.node.value;
      return [node ? nodePanel(store, node) : strongestPanel(store)];
    },
  });
}

function strongestPanel(store: Store): HTMLElement {
  const columns = store.columns.value;
  const layer = store.choices.layer.value;
  const inside = store.selection.value.edges.filter((edge) => layer === null || edge.layer === layer);
  const edges = inside.slice(0, LISTED);
  const between = columns.grouping ? ` between ${columns.name}` : "";
  const title = `Strongest reads${between}${layer === null ? "" : ` of layer ${layer}`}`;
  return h(
    "section",
    { class: "wl-panel wl-side", "aria-label": title },
    h("h2", { text: title }),
    edges.length > 0
      ? edgeList(store, edges, "both")
      : h("p", { class: "wl-pale", text: noEdges(columns.scene, layer) }),
    insideNote(columns),
    h("p", { class: "wl-hint", text: "Each weight is of that read alone; together they may do more, or less. Point at a node to see its past and future, click to fix it." }),
  );
}

function rest(many: number): HTMLElement {
  return number(many, count(many), "listed_edges");
}

function noEdges(scene: Scene, layer: number | null): string {
  if (scene.tokens.length < 2) return "A single token has nobody to read from.";
  const where = layer === null ? "" : ` in layer ${layer}`;
  return `No edge is drawn${where}. Move the slider to the right.`;
}

function nodePanel(store: Store, node: NodeRef): HTMLElement {
  const columns = store.columns.value;
  const { edges: all } = store.ranked.value.all;
  const into = all.filter((edge) => edge.layer + 1 === node.layer && edge.dst === node.pos);
  const out = all.filter((edge) => edge.layer === node.layer && edge.src === node.pos);
  const outflow = nodeFacts(columns.scene, node).outflow;
  const clear = h("button", {
    type: "button",
    class: "wl-close",
    "aria-label": "Clear the fixed node",
    title: "Clear (Esc)",
    text: "×",
    on: { click: () => fix(store, null) },
  });
  const titled = (title: string, edges: RankedEdge[], ends: "src" | "dst"): (HTMLElement | null)[] => [
    h(
      "h3",
      {},
      `${title}: `,
      number(edges.length, count(edges.length), "listed_edges"),
      ` edge${edges.length === 1 ? "" : "s"} in this file`,
    ),
    edges.length > 0 ? edgeList(store, edges.slice(0, LISTED), ends) : null,
    edges.length > LISTED
      ? h("p", { class: "wl-hint" }, "and ", rest(edges.length - LISTED), " weaker ones")
      : null,
  ];
  return h(
    "section",
    { class: "wl-panel wl-side", "aria-label": "Fixed node" },
    clear,
    nodeTitle(columns, node),
    columns.grouping ? null : cutButton(store.live?.onCut, `${node.layer},${node.pos}`, "Zero the residual stream at this node", "zero this node"),
    nodeCard(columns, node),
    ...titled(`Read from earlier ${columns.name}`, into, "src"),
    ...titled(`Read by later ${columns.name}`, out, "dst"),
    outflow ? h("dl", { class: "wl-facts" }, ...flowRows("out", outflow, "all reads of it")) : null,
  );
}
