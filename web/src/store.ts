// Everything that a picture shows and that can change, as signals: what is drawn follows them.
import { batch, computed, type ReadonlySignal, signal } from "@preact/signals-core";
import { keepingFocus } from "./focus.ts";
import { tokenLabels } from "./facts.ts";
import { columnsOf, offered, overlayOver, pathOver } from "./grouping.ts";
import type { Live, MountOptions } from "./host.ts";
import type { Hit, Light } from "./lattice.ts";
import type { NodeRef } from "./layout.ts";
import { coneHeat, HALF_ROW, type Heat, orderHeat, orderHeatAt, together } from "./overlay.ts";
import type { Scene, SceneAltered, SceneEdge, ScenePath, ScenePaths } from "./scene.gen.ts";
import { firstCount, rank, type RankedEdge, select } from "./select.ts";
import { type Bounds, choicesOf, type Choices, darkOf, fromFragment, START, type State, stateOf } from "./state.ts";
import type { TourStep } from "./tour/pieces.ts";
import { LAST_STEP, STEPS } from "./tour/steps.ts";

/** What is said of a node or an edge beside it, at this place of the stage. */
export type Tip = { hit: NonNullable<Hit>; x: number; y: number };

/** Which altered run is painted on the lattice: a cone through one highway, or an order up to a slice. */
export type Painting = { part: "cone"; through: string } | { part: "orders"; at: number; slice: number };

export interface PathsAnswer {
  paths: ScenePaths | null;
  /** Why there are none. */
  why: string | null;
}

export class Store {
  readonly live: Live | null;
  private readonly hasClaims: boolean;
  /** The picture is the whole page. */
  readonly isPage: boolean;
  readonly labels: string[];
  readonly bounds: Bounds;
  readonly choices: Choices;
  /** Where focus is kept while what is in it changes. */
  root: HTMLElement | null = null;

  readonly hover = signal<Hit>(null);
  /** The node that the keyboard stands on. */
  readonly cursor = signal<NodeRef | null>(null);
  readonly pointedPath = signal<ScenePath | null>(null);
  readonly tip = signal<Tip | null>(null);
  /** Told to who cannot see it; a new object is read out even where the words are the same. */
  readonly announcement = signal({ words: "" });
  /** Whose picture this is, where another question stands in the fields. */
  readonly stale = signal<string | null>(null);
  readonly altered;
  readonly pathsAnswer;
  readonly painting = signal<Painting | null>(null);
  readonly showsSevered;
  /** Which of the pictures of a step of the tour was chosen. */
  readonly tourChoice = signal({ step: 0, at: 0 });
  readonly isDark: ReadonlySignal<boolean>;

  readonly columns = computed(() => columnsOf(this.scene, this.choices.columns.value));
  readonly ranked = computed(() => rank(this.columns.value.scene));
  readonly selection = computed(() => {
    const { n, sink } = this.choices;
    const count = n.value ?? firstCount(this.ranked.value, sink.value, this.columns.value.labels.length);
    return select(this.ranked.value, count, sink.value);
  });
  /** The Scene with what was followed later. */
  readonly shownScene = computed((): Scene => ({ ...this.scene, paths: this.pathsAnswer.value.paths, paths_left_out: this.pathsAnswer.value.why }));
  readonly isTouring = computed(() => this.choices.step.value !== null);
  /** The claims and the room lie over the lattice: nothing there can be pointed at. */
  readonly coveringTab = computed(() => {
    const tab = this.choices.tab.value;
    return !this.isTouring.value && ((tab === "claims" && this.hasClaims) || (tab === "room" && this.live?.room)) ? tab : null;
  });
  readonly tourStep = computed((): TourStep | null => {
    const step = this.choices.step.value;
    const make = step === null ? null : STEPS[Math.min(LAST_STEP, step) - 1]!;
    return make && make({ scene: this.shownScene.value, labels: this.labels, selection: this.selection.value, node: this.choices.node.value, altered: this.altered.value });
  });
  readonly tourHeat = computed((): Heat | null => {
    const { light, choices } = this.tourStep.value ?? { light: {} };
    const { step, at } = this.tourChoice.value;
    return light.heat ?? choices?.[step === this.choices.step.value ? at : 0]?.heat ?? null;
  });
  readonly overlay = computed(() => {
    const { cut, cone, orders } = this.altered.value;
    const severed = this.showsSevered.value ? (cut ?? null) : null;
    const painting = this.painting.value;
    if (painting?.part === "cone") return together(cone ? coneHeat(cone, painting.through) : null, 0, severed);
    const order = painting && orders?.orders[painting.at];
    if (!order) return together(null, 0, severed);
    return together(painting.slice < order.n_slices ? orderHeatAt(order, painting.slice) : orderHeat(order), HALF_ROW, severed);
  });
  readonly light = computed((): Light => {
    const { node, layer } = this.choices;
    const hit = this.hover.value;
    const pointed = (hit && "node" in hit ? hit.node : null) ?? this.cursor.value;
    const edge = hit && "edge" in hit ? hit.edge : null;
    const step = this.tourStep.value;
    const shown = pointed || edge ? null : (step?.light ?? null);
    const columns = this.columns.value;
    return {
      selection: this.selection.value,
      focus: edge ? null : (pointed ?? (shown ? (shown.node ?? null) : node.value)),
      fixed: shown ? null : node.value,
      edge: edge ?? this.rankedEdge(shown?.edge ?? null),
      path: pathOver(columns, this.pointedPath.value ?? shown?.path ?? null),
      overlay: step ? together(this.tourHeat.value, HALF_ROW, null) : overlayOver(columns, this.overlay.value),
      layer: step ? (shown?.layer ?? null) : layer.value,
      after: this.altered.value.cut?.after[0] ?? null,
    };
  });

  constructor(
    readonly scene: Scene,
    { page, live, claims, start }: MountOptions,
  ) {
    this.live = live ?? null;
    this.isPage = page ?? false;
    this.hasClaims = Boolean(claims);
    this.labels = tokenLabels(scene);
    this.bounds = { columns: offered(scene), nLayers: scene.model.n_layers };
    this.choices = choicesOf(this.isPage ? this.recalled() : { ...START, ...start });
    this.altered = signal<Partial<SceneAltered>>(scene.altered ?? {});
    this.pathsAnswer = signal<PathsAnswer>({ paths: scene.paths, why: scene.paths_left_out });
    this.showsSevered = signal(this.live !== null);
    this.isDark = darkOf(this.choices.theme);
  }

  get state(): State {
    return stateOf(this.choices);
  }

  /** Change several things at once; who has the keyboard keeps it. */
  update(change: () => void): void {
    if (this.root) keepingFocus(this.root, () => batch(change));
    else batch(change);
  }

  /** What the address says; the tour is about tokens. */
  recalled(): State {
    const state = fromFragment(location.hash, this.bounds);
    return state.step !== null && state.columns !== "tokens" ? { ...state, columns: "tokens", node: null, n: null } : state;
  }

  /** An edge of the Scene with its rank, as the lattice draws it. */
  private rankedEdge(edge: SceneEdge | null): RankedEdge | null {
    if (!edge) return null;
    const { edges } = this.ranked.value.all;
    return edges.find(({ layer, head, src, dst }) => layer === edge.layer && head === edge.head && src === edge.src && dst === edge.dst) ?? null;
  }
}
