// The claims: a table or a graph of them, and beside it the record that is open.
import { h } from "../dom.ts";
import { readableText } from "../format.ts";
import type { ClaimsPicture, ClaimsShown } from "../claims.gen.ts";
import { detail, introduction } from "./detail.ts";
import { Graph } from "./graph.ts";
import { Records, type Word, WORDS } from "./records.ts";
import { claimsTable } from "./table.ts";
import { wordMark } from "./word.ts";

export interface ClaimsEvents {
  onOpen(id: string | null): void;
  onGraph(graph: boolean): void;
  onShow?: ((picture: ClaimsShown) => void) | undefined;
}

export class ClaimsPanel {
  readonly element: HTMLElement;
  readonly records: Records;
  private readonly graph: Graph;
  private readonly list = h("div", { class: "wl-claims-list", role: "region", "aria-label": "Claims" });
  private readonly side = h("div", { class: "wl-claims-detail", role: "region", "aria-label": "The open record", tabindex: 0 });
  private readonly words = h("div", { class: "wl-claims-filters", role: "group", "aria-label": "Show one verdict only" });
  private readonly filters: Map<Word | null, HTMLButtonElement>;
  private readonly views: [HTMLButtonElement, HTMLButtonElement];
  private only: Word | null | undefined;
  private open: string | null = null;
  private isGraph = false;
  private shown: string | null = null;

  constructor(
    picture: ClaimsPicture,
    private readonly events: ClaimsEvents,
  ) {
    this.records = new Records(picture);
    this.graph = new Graph(this.records, (id) => events.onOpen(id));
    const tally = this.records.tally();
    const words = [...WORDS, null].filter((word) => tally.has(word));
    this.filters = new Map(words.map((word) => [word, this.filter(word, tally.get(word) ?? 0)]));
    this.words.append(...this.filters.values());
    const view = (graph: boolean, text: string): HTMLButtonElement => h("button", { type: "button", text, on: { click: () => events.onGraph(graph) } });
    this.views = [view(false, "Table"), view(true, "Graph")];
    this.element = h(
      "section",
      { class: "wl-panel wl-claims", "aria-label": "Claims and verdicts" },
      h(
        "div",
        { class: "wl-claims-head" },
        h("h2", {}, "Claims, as tested on ", h("b", { text: readableText(picture.model) })),
        h("div", { class: "wl-columns", role: "group", "aria-label": "View" }, ...this.views),
        this.words,
      ),
      this.list,
      this.side,
    );
  }

  show(open: string | null, graph: boolean): void {
    this.open = open;
    this.isGraph = graph;
    this.views.forEach((button, at) => button.setAttribute("aria-pressed", String(graph === (at === 1))));
    this.element.classList.toggle("wl-as-graph", graph);
    this.fill();
    if (this.shown === open && this.side.childElementCount > 0) return;
    this.shown = open;
    const node = this.records.node(open);
    this.side.replaceChildren(node ? detail(this.records, node, { onOpen: this.events.onOpen, onShow: this.events.onShow }) : introduction(this.records));
    this.side.scrollTop = 0;
  }

  destroy(): void {
    this.graph.destroy();
  }

  private fill(): void {
    this.words.hidden = this.isGraph;
    for (const [word, button] of this.filters) button.setAttribute("aria-pressed", String(word === this.only));
    if (this.isGraph) {
      if (this.list.firstChild !== this.graph.element) this.list.replaceChildren(this.graph.element);
      this.graph.show(this.open);
      return;
    }
    const inside = this.records.claims.filter(({ id }) => this.only === undefined || (this.records.verdict(id)?.verdict ?? null) === this.only);
    const held = (document.activeElement as HTMLElement | null)?.dataset?.["claim"];
    const top = this.list.scrollTop;
    this.list.replaceChildren(claimsTable(this.records, inside, this.open, (id) => this.events.onOpen(id)));
    this.list.scrollTop = top;
    if (held !== undefined) this.list.querySelector<HTMLElement>(`[data-claim="${CSS.escape(held)}"]`)?.focus({ preventScroll: false });
  }

  private filter(word: Word | null, many: number): HTMLButtonElement {
    return h(
      "button",
      { type: "button", class: "wl-claims-filter", "aria-pressed": "false", on: { click: () => this.choose(word) } },
      wordMark(word),
      h("b", { text: String(many) }),
    );
  }

  private choose(word: Word | null): void {
    this.only = this.only === word ? undefined : word;
    this.fill();
  }
}
