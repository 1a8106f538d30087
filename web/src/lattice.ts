// The lattice: canvas for strands and dots, DOM for names, and what the pointer finds in it.
import { select } from "d3-selection";
import { type D3ZoomEvent, zoom as zoomBehavior, type ZoomBehavior, zoomIdentity } from "d3-zoom";
import { type Palette, readPalette } from "./colours.ts";
import { h } from "./dom.ts";
import type { Columns } from "./grouping.ts";
import {
  distanceTo,
  type Layout,
  layoutOf,
  MARGIN,
  nodeAt,
  type NodeRef,
  trackOf,
  visibleColumns,
  xOf,
  yOf,
  type Zoom,
} from "./layout.ts";
import { placeColumns } from "./marks/columns.ts";
import { placeCones } from "./marks/cones.ts";
import { drawBusyDots, drawDots } from "./marks/dots.ts";
import { placeFocus } from "./marks/focus.ts";
import { drawHeat, drawSevered } from "./marks/overlay.ts";
import { drawPath } from "./marks/path.ts";
import { placePrediction } from "./marks/prediction.ts";
import { drawLitResidual, drawResidual } from "./marks/residual.ts";
import { placeBand, placeRows } from "./marks/rows.ts";
import { drawStrands } from "./marks/strands.ts";
import type { Pen } from "./pen.ts";
import type { RankedEdge } from "./select.ts";
import type { View } from "./view.ts";

/** What lies under the pointer: a node, an edge, or nothing. */
export type Hit = { node: NodeRef } | { edge: RankedEdge } | null;

export interface LatticeEvents {
  /** The pointer came upon something else, at this place of the stage. */
  onHover(hit: Hit, x: number, y: number): void;
  onClick(hit: Hit): void;
}

/** What is in the light; the rest of a View the lattice knows itself. */
export type Light = Pick<View, "selection" | "focus" | "fixed" | "edge" | "path" | "overlay" | "layer" | "after">;

type Marks = Record<string, (pen: Pen, view: View) => void>;

/** What is drawn behind the flow, and the flow, each from the back to the front. */
export const BASE: Marks = { residual: drawResidual, dots: drawDots };
export const FLOW: Marks = {
  heat: drawHeat,
  "residual in the light": drawLitResidual,
  strands: drawStrands,
  "ends of strands": drawBusyDots,
  severed: drawSevered,
  path: drawPath,
};

/** Nothing is drawn left of here: there are the names of the rows. */
export const CLIP = MARGIN.left - 12;

const CLOSEST_GAP = 64;
const NEAR_STRAND = 5;
const SETTLED_MS = 150;

export class Lattice {
  readonly element: HTMLElement;
  private readonly under = h("div", { class: "wl-under" });
  private readonly base = h("canvas", { class: "wl-canvas" });
  private readonly flow = h("canvas", { class: "wl-canvas" });
  private readonly over = h("div", { class: "wl-over", "aria-hidden": "true" });
  private readonly tools = h("div", { class: "wl-tools", role: "group", "aria-label": "Zoom" });
  private readonly zooming: ZoomBehavior<HTMLElement, unknown>;
  private readonly observer: ResizeObserver;
  private layout: Layout;
  private zoom: Zoom = { k: 1, shift: 0 };
  private palette: Palette | null = null;
  private frame = 0;
  private stale = true;
  /** A notebook draws before it puts the cell into its page: there are no sizes and colours yet. */
  private placed = false;
  private settling: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private columns: Columns,
    private light: Light,
    private readonly events: LatticeEvents,
  ) {
    this.element = h(
      "div",
      {
        class: "wl-stage",
        tabindex: 0,
        role: "application",
        "aria-roledescription": "lattice",
      },
      this.under,
      this.base,
      this.flow,
      this.over,
      this.tools,
    );
    this.layout = this.measured(800, 600);
    this.describe();
    this.zooming = zoomBehavior<HTMLElement, unknown>()
      .filter((event: Event) => this.wantsZoom(event))
      .on("zoom", (event: D3ZoomEvent<HTMLElement, unknown>) => this.zoomed(event));
    select(this.element).call(this.zooming).on("dblclick.zoom", null);
    this.fillTools();
    this.element.addEventListener("pointermove", (event) => this.moved(event));
    this.element.addEventListener("pointerleave", (event) => {
      if (!event.shiftKey) this.events.onHover(null, 0, 0);
    });
    this.element.addEventListener("click", (event) => this.clicked(event));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
  }

  /** Put other things into the light, at the next frame. */
  show(columns: Columns, light: Light): void {
    if (light.selection !== this.light.selection) this.stale = true;
    this.light = light;
    if (columns !== this.columns) this.regroup(columns);
    this.invalidate();
  }

  /** Draw other columns of the same run, all of them in view. */
  private regroup(columns: Columns): void {
    this.columns = columns;
    this.describe();
    this.over.replaceChildren();
    this.zooming.transform(select(this.element), zoomIdentity);
    this.resize();
  }

  private describe(): void {
    const { scene, name } = this.columns;
    this.element.setAttribute(
      "aria-label",
      `Lattice of ${scene.tokens.length} ${name} by ${scene.model.n_layers} layers. ` +
        "Arrow keys move from node to node, Enter fixes one, Escape clears, question mark " +
        "shows all keys.",
    );
  }

  /** Read the colours again: the theme changed. */
  recolour(): void {
    this.palette = null;
    this.stale = true;
    this.invalidate();
  }

  /** Where a node is on the stage; pans so that it can be seen. */
  reveal(node: NodeRef): { x: number; y: number } {
    const x = xOf(this.layout, this.zoom, node.pos);
    const most = this.layout.width - MARGIN.right;
    const wanted = Math.max(MARGIN.left, Math.min(most, x));
    if (Math.abs(wanted - x) > 0.5) {
      this.zooming.translateBy(select(this.element), (wanted - x) / this.zoom.k, 0);
    }
    return { x: xOf(this.layout, this.zoom, node.pos), y: yOf(this.layout, node.layer) };
  }

  /** What is drawn now, with the elements that lie under and over the canvases. */
  drawn(): { view: View; stage: HTMLElement; under: HTMLElement; over: HTMLElement } {
    if (this.frame) this.draw();
    return { view: this.view(), stage: this.element, under: this.under, over: this.over };
  }

  destroy(): void {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settling);
  }

  private measured(width: number, height: number): Layout {
    const { tokens, model } = this.columns.scene;
    return layoutOf({ width, height }, tokens.length, model.n_layers, model.n_heads);
  }

  private get closest(): number {
    return Math.max(1, CLOSEST_GAP / this.layout.gap);
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (width === 0 || height === 0) return;
    this.placed = true;
    this.layout = this.measured(width, height);
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    for (const canvas of [this.base, this.flow]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.getContext("2d")?.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    const whole: [[number, number], [number, number]] = [[0, 0], [width, height]]; // prettier-ignore
    this.zooming.extent(whole).translateExtent(whole).scaleExtent([1, this.closest]);
    this.tools.hidden = this.closest <= 1;
    if (this.zoom.k > this.closest || this.zoom.k === 1) {
      this.zooming.transform(select(this.element), zoomIdentity);
    }
    this.stale = true;
    this.draw();
  }

  private wantsZoom(event: Event): boolean {
    if (this.closest <= 1 || (event.target as HTMLElement).closest(".wl-tools")) return false;
    const cell = this.element.closest('[data-host="cell"]') !== null;
    if (cell && event instanceof WheelEvent && !event.ctrlKey) return false; // the notebook scrolls
    return !(event instanceof MouseEvent) || (!event.button && (!event.ctrlKey || event.type === "wheel"));
  }

  private zoomed(event: D3ZoomEvent<HTMLElement, unknown>): void {
    this.zoom = { k: event.transform.k, shift: event.transform.x };
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settled(), SETTLED_MS);
    this.stale = true;
    this.invalidate();
  }

  /** The lattice stands again: draw what waited. */
  private settled(): void {
    this.settling = undefined;
    this.invalidate();
  }

  private fillTools(): void {
    const by = (factor: number) => () => this.zooming.scaleBy(select(this.element), factor);
    const whole = (): void => this.zooming.transform(select(this.element), zoomIdentity);
    const button = (text: string, label: string, click: () => void): HTMLElement =>
      h("button", { type: "button", text, "aria-label": label, title: label, on: { click } });
    this.tools.append(
      button("+", "Zoom in", by(1.8)),
      button("−", "Zoom out", by(1 / 1.8)),
      button("⤢", "Show all columns", whole),
    );
  }

  private moved(event: PointerEvent): void {
    if (event.shiftKey || event.buttons !== 0) return;
    const [x, y] = this.placeOf(event);
    this.events.onHover(this.hit(x, y), x, y);
  }

  private clicked(event: MouseEvent): void {
    if ((event.target as HTMLElement).closest(".wl-tools")) return;
    const [x, y] = this.placeOf(event);
    this.events.onClick(this.hit(x, y));
  }

  private placeOf(event: MouseEvent): [number, number] {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private hit(x: number, y: number): Hit {
    const node = nodeAt(this.layout, this.zoom, x, y);
    if (node) return { node };
    let nearest = NEAR_STRAND;
    let found: RankedEdge | null = null;
    for (const edge of this.light.selection.edges) {
      if (this.light.layer !== null && edge.layer !== this.light.layer) continue;
      const distance = distanceTo(trackOf(this.layout, this.zoom, edge), x, y);
      if (distance < nearest) {
        nearest = distance;
        found = edge;
      }
    }
    return found && { edge: found };
  }

  private invalidate(): void {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => this.draw());
  }

  private view(): View {
    this.palette ??= readPalette(this.base);
    return {
      ...this.light,
      scene: this.columns.scene,
      labels: this.columns.labels,
      layout: this.layout,
      zoom: this.zoom,
      columns: visibleColumns(this.layout, this.zoom),
      palette: this.palette,
      moving: this.settling !== undefined,
    };
  }

  private draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const base = this.base.getContext("2d");
    const flow = this.flow.getContext("2d");
    if (!base || !flow || !this.placed || this.columns.labels.length === 0) return;
    const view = this.view();
    if (this.stale) this.clipped(base, view, BASE);
    this.stale = false;
    this.clipped(flow, view, FLOW);
    placeBand(this.under, view);
    placeCones(this.under, this.over, view);
    placeRows(this.over, view);
    placeColumns(this.over, view);
    placeFocus(this.over, view);
    placePrediction(this.over, view);
  }

  /** Draw right of the layer names only, so that a zoomed lattice slides under them. */
  private clipped(context: CanvasRenderingContext2D, view: View, marks: Marks): void {
    const { width, height } = this.layout;
    context.clearRect(0, 0, width, height);
    context.save();
    context.beginPath();
    context.rect(CLIP, 0, width, height);
    context.clip();
    for (const draw of Object.values(marks)) draw(context, view);
    context.restore();
  }
}
