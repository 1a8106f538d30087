// What a person can do with a picture, each as a function of its store.
import { batch } from "@preact/signals-core";
import { edgeWords, nodeFacts, rowName } from "./facts.ts";
import { signed } from "./format.ts";
import { carried, columnsOf, type ColumnsName, cutOf, spanOf } from "./grouping.ts";
import type { KeyEvents } from "./keys.ts";
import type { Hit, Lattice } from "./lattice.ts";
import type { NodeRef } from "./layout.ts";
import { cutsOf } from "./paths.ts";
import type { RankedEdge } from "./select.ts";
import { choose, note, type State, toFragment } from "./state.ts";
import type { Store } from "./store.ts";
import { LAST_STEP } from "./tour/steps.ts";

/** Change what was chosen, and note it in the address. */
export function change(store: Store, patch: Partial<State>, noting: "push" | "replace" | "none"): void {
  const regrouped = patch.columns !== undefined && patch.columns !== store.choices.columns.value;
  store.update(() => {
    choose(store.choices, patch);
    if (regrouped) pointAway(store);
  });
  if (store.isPage && noting !== "none") note([store.live?.address() ?? "", toFragment(store.state)].filter(Boolean).join("&"), noting);
}

/** Choose what the address says, which changed. */
export function recall(store: Store): void {
  const state = store.recalled();
  store.update(() => {
    if (state.columns !== store.choices.columns.value) pointAway(store);
    store.cursor.value = null;
    choose(store.choices, state);
  });
}

/** Nothing is pointed at any more, by pointer or keyboard. */
function pointAway(store: Store): void {
  store.hover.value = null;
  store.cursor.value = null;
  store.tip.value = null;
}

export function announce(store: Store, words: string): void {
  store.announcement.value = { words };
}

export function openTab(store: Store, name: string): void {
  change(store, { tab: name === "why" ? null : name }, "replace");
}

export function turnTheme(store: Store): void {
  change(store, { theme: store.isDark.value ? "light" : "dark" }, "replace");
}

/** Take tokens or groups of them as columns; the fixed node goes along. */
export function regroup(store: Store, name: ColumnsName): void {
  if (name === store.choices.columns.value) return;
  const node = carried(store.choices.node.value, store.columns.value, columnsOf(store.scene, name));
  change(store, { columns: name, node, n: null }, "push");
}

export function fix(store: Store, node: NodeRef | null): void {
  if (isSame(node, store.choices.node.value)) return;
  store.tip.value = null;
  change(store, { node }, "push");
}

export function fixEnd(store: Store, { layer, dst }: RankedEdge): void {
  fix(store, { layer: layer + 1, pos: dst });
}

export function clickOn(store: Store, hit: Hit): void {
  if (hit && "edge" in hit) fixEnd(store, hit.edge);
  else fix(store, hit && hit.node);
}

/** The pointer came upon something else, or moved along an edge; a tip stands beside it. */
export function hoverOver(store: Store, lattice: Lattice, hit: Hit, x: number, y: number): void {
  const same = isSame(hit, store.hover.value);
  batch(() => {
    if (hit) store.cursor.value = null;
    if (!hit && !store.cursor.value) store.tip.value = null;
    if (hit && "edge" in hit) store.tip.value = { hit, x, y };
    if (hit && "node" in hit && !same) store.tip.value = { hit, ...lattice.reveal(hit.node) };
    if (!same) store.hover.value = hit;
  });
}

/** Go from node to node: from the one that the keyboard stands on, or the fixed one, or the last of all. */
function moveCursor(store: Store, lattice: Lattice, layers: number, along: number): void {
  const { bounds, cursor, choices } = store;
  const last = store.columns.value.labels.length - 1;
  const from = cursor.value ?? choices.node.value;
  const node = from
    ? { layer: clamp(from.layer + layers, bounds.nLayers), pos: clamp(from.pos + along, last) }
    : { layer: bounds.nLayers, pos: last };
  batch(() => {
    store.cursor.value = node;
    store.hover.value = null;
    store.tip.value = { hit: { node }, ...lattice.reveal(node) };
    announce(store, nodeWords(store, node));
  });
}

function nodeWords(store: Store, node: NodeRef): string {
  const { scene, labels, noun } = store.columns.value;
  const { inflow } = nodeFacts(scene, node);
  const net = inflow ? `, net inflow ${signed(inflow.positive + inflow.negative)}` : "";
  return `${labels[node.pos]}, ${noun} ${node.pos}, ${rowName(store.scene, node.layer)}${net}`;
}

/** Cut what is pointed at: an edge, a path's reads, or all that is read of a token. */
function cutPointed(store: Store): void {
  const { live, columns, hover, pointedPath, cursor, choices } = store;
  if (!live) {
    announce(store, "This file cannot run the model: open the text with worldline serve to cut.");
    return;
  }
  const hit = hover.value;
  const node = hit && "node" in hit ? hit.node : (cursor.value ?? choices.node.value);
  if (hit && "edge" in hit) live.onCut(cutOf(columns.value, hit.edge));
  else if (pointedPath.value) for (const cut of cutsOf(pointedPath.value)) live.onCut(cut);
  else if (node) live.onCut(`*.*:${spanOf(columns.value, node.pos)}>*`);
}

/** The next layer into the light, or the one before. */
function stepLayer(store: Store, by: number): void {
  const last = store.bounds.nLayers - 1;
  const layer = clamp((store.choices.layer.value ?? (by > 0 ? -1 : last + 1)) + by, last);
  const edges = store.selection.value.edges.filter((edge) => edge.layer === layer);
  const strongest = edges[0] ? `Strongest: ${edgeWords(store.columns.value.labels, store.scene.attribution.unit, edges[0])}` : "";
  announce(store, `Layer ${layer}: ${edges.length} drawn. ${strongest}`);
  change(store, { layer }, "replace");
}

/** One thing less: the tour, an open record, what is pointed at, the layer, the fixed node. */
function escape(store: Store): void {
  const { hover, cursor, choices, coveringTab } = store;
  store.tip.value = null;
  if (store.isTouring.value) toStep(store, null);
  else if (coveringTab.value === "claims") {
    if (choices.claim.value !== null) change(store, { claim: null }, "push");
  } else if (coveringTab.value) return;
  else if (hover.value || cursor.value) batch(() => pointAway(store));
  else if (choices.layer.value !== null) change(store, { layer: null }, "replace");
  else fix(store, null);
}

/** Begin, go on or end the tour; it is about tokens, and nothing else is pointed at meanwhile. */
export function toStep(store: Store, step: number | null): void {
  const begins = !store.isTouring.value;
  const plain: Partial<State> = begins && store.choices.columns.value !== "tokens" ? { columns: "tokens", node: null, n: null } : {};
  store.update(() => {
    pointAway(store);
    change(store, { ...plain, step: step && Math.min(step, LAST_STEP) }, begins ? "push" : "replace");
  });
  const next = step === null ? ".wl-explain" : begins ? ".wl-tour-next" : null;
  if (next) store.root?.querySelector<HTMLElement>(next)?.focus({ preventScroll: true });
}

/** To the next step or back; past the last one the tour ends. */
export function turnTour(store: Store, by: number): void {
  const step = Math.min(LAST_STEP, store.choices.step.value ?? 1) + by;
  if (step > LAST_STEP) toStep(store, null);
  else if (step >= 1) toStep(store, step);
}

/** What the keys do. */
export function keyEvents(store: Store, lattice: Lattice, dialogs: { about: HTMLDialogElement; keys: HTMLDialogElement }): KeyEvents {
  const uncovered = (act: () => void): void => {
    if (!store.coveringTab.value) act();
  };
  return {
    move: (layers, along) => uncovered(() => moveCursor(store, lattice, layers, along)),
    step: (by) => uncovered(() => stepLayer(store, by)),
    turn(by) {
      const isTouring = store.isTouring.value;
      if (isTouring) turnTour(store, by);
      return isTouring;
    },
    escape: () => escape(store),
    enter: () => uncovered(() => store.cursor.value && fix(store, store.cursor.value)),
    cut: () => uncovered(() => cutPointed(store)),
    help: () => dialogs.keys.showModal(),
    busy: () => dialogs.about.open || dialogs.keys.open,
  };
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function clamp(value: number, most: number): number {
  return Math.max(0, Math.min(most, value));
}
