// The records as a graph: columns by kind, ties between them, arrow keys from record to record.
import { h, s } from "../dom.ts";
import { clipped } from "../format.ts";
import type { ClaimsEdge } from "../claims.gen.ts";
import { layered, type Layered, type Placed } from "./layering.ts";
import { type NodeType, type Records, typeWords } from "./records.ts";
import { shape, wordClass } from "./word.ts";

const LETTER = 6.1; // pixels, about, of a letter of a label
const LABEL_AT = 14;
const BEND = 0.45;
const GAP = 34; // pixels between the labels of two columns, for ties
const TWO_LINES = 27; // pixels from row to row from which a label may have two
const KINDS: Partial<Record<ClaimsEdge["type"], string>> = { supports: "support", opposes: "refute", qualifies: "qualify" };

export class Graph {
  readonly element = h("div", { class: "wl-graph" });
  private readonly box = h("div", { class: "wl-graph-box" });
  private readonly types: NodeType[];
  private readonly hidden = new Set<NodeType>(["run", "verdict"]); // a claim shows its verdict itself
  private readonly observer = new ResizeObserver(() => this.draw());
  private open: string | null = null;
  private drawn = "";

  constructor(
    private readonly records: Records,
    private readonly onOpen: (id: string | null) => void,
  ) {
    this.types = [...new Set(records.picture.nodes.map(({ type }) => type))];
    this.element.append(this.choices(), this.box);
    this.observer.observe(this.box);
    this.box.addEventListener("keydown", (event) => this.keyed(event));
  }

  show(open: string | null): void {
    const node = this.records.node(open);
    if (node && this.hidden.delete(node.type)) this.element.replaceChild(this.choices(), this.element.firstChild as Node);
    this.open = open;
    this.draw();
  }

  destroy(): void {
    this.observer.disconnect();
  }

  /** Which kinds are drawn. */
  private choices(): HTMLElement {
    const many = (type: NodeType): number => this.records.picture.nodes.filter((node) => node.type === type).length;
    return h(
      "div",
      { class: "wl-graph-types", role: "group", "aria-label": "Kinds of records" },
      ...this.types.map((type) => {
        const box = h("input", { type: "checkbox", checked: !this.hidden.has(type), on: { change: () => this.turn(type, box.checked) } });
        return h("label", { class: "wl-check" }, box, `${many(type)} ${typeWords(type, many(type))}`);
      }),
    );
  }

  private turn(type: NodeType, on: boolean): void {
    if (on) this.hidden.delete(type);
    else this.hidden.add(type);
    this.draw();
  }

  private draw(): void {
    const { clientWidth: width, clientHeight: height } = this.box;
    if (width === 0 || height === 0) return;
    const key = [width, height, this.open, ...this.hidden].join(" ");
    if (key === this.drawn) return;
    this.drawn = key;
    const held = this.box.contains(document.activeElement);
    const found = layered(this.records.picture, this.hidden, { width, height });
    this.box.replaceChildren(this.picture(found));
    if (held) this.box.querySelector<SVGElement>("[tabindex='0']")?.focus({ preventScroll: true });
  }

  private picture(found: Layered): SVGElement {
    const at = new Map(found.nodes.map((one) => [one.node.id, one]));
    const open = this.open !== null && at.has(this.open) ? this.open : null;
    const near = new Set(open === null ? [] : [open, ...found.edges.flatMap(({ source, target }) => (source === open ? [target] : target === open ? [source] : []))]);
    const stop = open ?? found.nodes.find(({ node }) => node.type === "claim")?.node.id ?? found.nodes[0]?.node.id;
    const lit = (edge: ClaimsEdge): boolean => edge.source === open || edge.target === open;
    const edges = [...found.edges].sort((one, other) => Number(lit(one)) - Number(lit(other)));
    return s(
      "svg",
      { width: found.width, height: found.height, viewBox: `0 0 ${found.width} ${found.height}`, role: "group", "aria-label": "Graph of the records; arrow keys go from one to the next, Enter opens it" },
      ...found.columns.map(({ name, x }) => s("text", { x: x + 8, y: 14, class: "wl-graph-head", text: name })),
      ...edges.flatMap((edge) => {
        const [from, to] = [at.get(edge.source), at.get(edge.target)];
        const kind = KINDS[edge.type];
        const state = open === null ? "" : lit(edge) ? "wl-lit" : "wl-dim";
        return from && to ? [s("path", { d: tie(from, to, found), class: `wl-tie ${kind ? `wl-tie-${kind}` : ""} ${state}` })] : [];
      }),
      ...found.nodes.map((one) => this.node(one, found, one.node.id === stop, open === null ? "" : near.has(one.node.id) ? "wl-lit" : "wl-dim")),
    );
  }

  private node(placed: Placed, found: Layered, stop: boolean, state: string): SVGElement {
    const { node, column, row, x, y } = placed;
    const verdict = node.type === "claim" ? (this.records.verdict(node.id)?.verdict ?? null) : undefined;
    const lines = labelOf(placed, found);
    const size = { x: -4, y: -2.5 - 6 * lines.length, width: LABEL_AT + 8 + widest(lines), height: 5 + 12 * lines.length };
    const mark = verdict === undefined ? [s("circle", { cx: 7, cy: 7, r: 3.2, class: `wl-knot wl-knot-${node.type}` })] : shape(verdict);
    const element = s(
      "g",
      {
        class: `wl-graph-node ${verdict === undefined ? "" : wordClass(verdict)} ${state} ${node.id === this.open ? "wl-open" : ""}`,
        transform: `translate(${x} ${y})`,
        role: "button",
        tabindex: stop ? 0 : -1,
        "aria-pressed": String(node.id === this.open),
        "aria-label": `${node.type}: ${node.title}${verdict === undefined ? "" : `, ${verdict ?? "not tested yet"}`}`,
        "data-id": node.id,
        "data-column": column,
        "data-row": row,
      },
      s("title", { text: `${node.type}: ${node.title}` }),
      s("rect", { ...size, rx: 5, class: "wl-graph-back" }),
      s("g", { transform: "translate(-1 -5.6) scale(0.8)" }, ...mark),
      ...lines.map((text, at) => s("text", { x: LABEL_AT, y: 3.8 + 12 * (at - (lines.length - 1) / 2), class: lines.length > 1 ? "wl-small" : "", text })),
    );
    element.addEventListener("click", () => this.onOpen(node.id === this.open ? null : node.id));
    return element;
  }

  private keyed(event: KeyboardEvent): void {
    const from = (event.target as Element).closest<SVGElement>(".wl-graph-node");
    if (!from) return;
    const by = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (by) this.move(from, by[0] ?? 0, by[1] ?? 0);
    else if (event.key === "Enter" || event.key === " ") this.onOpen(from.dataset["id"] ?? null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Up and down within a column; to the side, to the record that lies nearest there. */
  private move(from: SVGElement, columns: number, rows: number): void {
    const all = [...this.box.querySelectorAll<SVGElement>(".wl-graph-node")];
    const column = Number(from.dataset["column"]) + columns;
    const height = (one: SVGElement): number => one.getBoundingClientRect().top;
    const lane = all.filter((one) => Number(one.dataset["column"]) === column);
    const next = rows !== 0
      ? lane.find((one) => Number(one.dataset["row"]) === Number(from.dataset["row"]) + rows)
      : lane.sort((one, other) => Math.abs(height(one) - height(from)) - Math.abs(height(other) - height(from)))[0];
    if (!next) return;
    from.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }
}

/** The title in the room there is: one line, or two where the rows lie far enough apart. */
function labelOf({ node, column }: Placed, { columns, pitch }: Layered): string[] {
  const room = Math.max(4, Math.floor(((columns[column]?.width ?? 0) - LABEL_AT - GAP) / LETTER));
  const chars = Array.from(node.title);
  if (chars.length <= room || pitch < TWO_LINES) return [clipped(node.title, room)];
  const cut = chars.slice(0, room + 1).lastIndexOf(" ");
  const first = cut > room / 3 ? cut : room;
  return [chars.slice(0, first).join(""), clipped(chars.slice(first).join("").trim(), room)];
}

function widest(lines: string[]): number {
  return Math.max(...lines.map((line) => Array.from(line).length)) * LETTER;
}

/** From the side of one to the side of the other; within a column, round its right side. */
function tie(from: Placed, to: Placed, found: Layered): string {
  const end = (one: Placed): number => one.x + LABEL_AT + 5 + widest(labelOf(one, found));
  if (from.column === to.column) {
    const right = Math.max(end(from), end(to));
    const out = Math.min(16, 6 + Math.abs(from.y - to.y) / 12);
    return `M${end(from)} ${from.y}L${right} ${from.y}C${right + out} ${from.y} ${right + out} ${to.y} ${right} ${to.y}L${end(to)} ${to.y}`;
  }
  const [left, right] = from.column < to.column ? [from, to] : [to, from];
  const x0 = end(left);
  const x1 = right.x - 5;
  const bend = Math.max(12, (x1 - x0) * BEND);
  return `M${x0} ${left.y}C${x0 + bend} ${left.y} ${x1 - bend} ${right.y} ${x1} ${right.y}`;
}
