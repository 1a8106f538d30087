// The claims: a table or a graph of them, and beside it the record that is open.
import { signal, type Signal } from "@preact/signals-core";
import { h } from "../dom.ts";
import { follow, whenEnded } from "../effects.ts";
import { readableText } from "../format.ts";
import type { ClaimsShown } from "../claims.gen.ts";
import type { Choices } from "../state.ts";
import { detail, introduction } from "./detail.ts";
import { Graph } from "./graph.ts";
import { type Records, type Word, WORDS } from "./records.ts";
import { claimsTable } from "./table.ts";
import { wordMark } from "./word.ts";

export interface ClaimsEvents {
  onOpen(id: string | null): void;
  onGraph(graph: boolean): void;
  onShow?: ((picture: ClaimsShown) => void) | undefined;
}

/** One verdict only, null standing for none; undefined: all. */
type Filter = Signal<Word | null | undefined>;

export function claimsPanel(records: Records, choices: Pick<Choices, "claim" | "graph">, events: ClaimsEvents, ...tools: HTMLElement[]): HTMLElement {
  const filter: Filter = signal();
  const view = (graph: boolean, text: string): HTMLElement =>
    h("button", { type: "button", text, "aria-pressed": () => String(graph === choices.graph.value), on: { click: () => events.onGraph(graph) } });
  return h(
    "section",
    { class: () => `wl-panel wl-claims ${choices.graph.value ? "wl-as-graph" : ""}`.trim(), "aria-label": "Claims and verdicts" },
    h(
      "div",
      { class: "wl-claims-head" },
      h("h2", {}, "Claims, as tested on ", h("b", { text: readableText(records.picture.model) })),
      h("div", { class: "wl-columns", role: "group", "aria-label": "View" }, view(false, "Table"), view(true, "Graph")),
      h("div", { class: "wl-claims-filters", role: "group", "aria-label": "Show one verdict only", hidden: () => choices.graph.value }, ...filterButtons(records, filter)),
      ...tools,
    ),
    recordsList(records, choices, filter, events),
    openRecord(records, choices.claim, events),
  );
}

function filterButtons(records: Records, filter: Filter): HTMLElement[] {
  const tally = records.tally();
  const words = [...WORDS, null].filter((word) => tally.has(word));
  return words.map((word) =>
    h(
      "button",
      {
        type: "button",
        class: "wl-claims-filter",
        "aria-pressed": () => String(word === filter.value),
        on: { click: () => (filter.value = filter.value === word ? undefined : word) },
      },
      wordMark(word),
      h("b", { text: String(tally.get(word) ?? 0) }),
    ),
  );
}

/** The table or the graph. */
function recordsList(records: Records, { claim, graph }: Pick<Choices, "claim" | "graph">, filter: Filter, { onOpen }: ClaimsEvents): HTMLElement {
  const drawing = new Graph(records, onOpen);
  whenEnded(() => drawing.destroy());
  const list = h("div", { class: "wl-claims-list", role: "region", "aria-label": "Claims" });
  follow(() => {
    if (graph.value) {
      if (list.firstChild !== drawing.element) list.replaceChildren(drawing.element);
      drawing.show(claim.value);
      return;
    }
    const word = filter.value;
    const claims = records.claims.filter(({ id }) => word === undefined || (records.verdict(id)?.verdict ?? null) === word);
    const focused = (document.activeElement as HTMLElement | null)?.dataset?.["claim"];
    const top = list.scrollTop;
    list.replaceChildren(claimsTable(records, claims, claim.value, onOpen));
    list.scrollTop = top;
    if (focused !== undefined) list.querySelector<HTMLElement>(`[data-claim="${CSS.escape(focused)}"]`)?.focus({ preventScroll: false });
  });
  return list;
}

function openRecord(records: Records, claim: Signal<string | null>, { onOpen, onShow }: ClaimsEvents): HTMLElement {
  const side = h("div", { class: "wl-claims-detail", role: "region", "aria-label": "The open record", tabindex: 0 });
  follow(() => {
    const node = records.node(claim.value);
    side.replaceChildren(node ? detail(records, node, { onOpen, onShow }) : introduction(records));
    side.scrollTop = 0;
  });
  return side;
}
