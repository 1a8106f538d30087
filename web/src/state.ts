// What a person chose, as it travels in the address: reload and back restore it.
import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import { whenEnded } from "./effects.ts";
import type { ColumnsName } from "./grouping.ts";
import type { NodeRef } from "./layout.ts";

export type Theme = "light" | "dark";

export interface State {
  /** How many edges are drawn; null: the first picture's count. */
  n: number | null;
  /** The fixed node. */
  node: NodeRef | null;
  /** Whether edges read from column 0 are shown. */
  sink: boolean;
  /** The one layer in the light, or null for all. */
  layer: number | null;
  /** The panel that is open; null: the first. */
  tab: string | null;
  /** What the columns are; the fixed node is one of them. */
  columns: ColumnsName;
  /** Chosen by hand, or null to follow the system. */
  theme: Theme | null;
  /** The record of the claims that is open, by its id. */
  claim: string | null;
  /** The claims as a graph, not as a table. */
  graph: boolean;
  /** The step of the tour, from 1 on; null: nobody is shown around. */
  step: number | null;
}

export const START: State = { n: null, node: null, sink: true, layer: null, tab: null, columns: "tokens", theme: null, claim: null, graph: false, step: null };

/** Every part of a state as a signal of its own. */
export type Choices = { readonly [K in keyof State]: Signal<State[K]> };

const NAMES = Object.keys(START) as (keyof State)[];

export function choicesOf(state: State): Choices {
  return Object.fromEntries(NAMES.map((name) => [name, signal(state[name])])) as Choices;
}

export function stateOf(choices: Choices): State {
  return Object.fromEntries(NAMES.map((name) => [name, choices[name].value])) as unknown as State;
}

/** Choose something; what follows the choices sees all of it at once. */
export function choose(choices: Choices, patch: Partial<State>): void {
  batch(() => {
    for (const name of NAMES) if (name in patch) (choices[name] as Signal<unknown>).value = patch[name];
  });
}

/** Whether dark is shown: as it was chosen by hand, else as the system has it. */
export function darkOf(theme: Signal<Theme | null>): ReadonlySignal<boolean> {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const system = signal(query.matches);
  const listen = (): unknown => (system.value = query.matches);
  query.addEventListener("change", listen);
  whenEnded(() => query.removeEventListener("change", listen));
  return computed(() => (theme.value ? theme.value === "dark" : system.value));
}

/** Note a fragment in the address. */
export function note(fragment: string, how: "push" | "replace"): void {
  if (fragment === location.hash.replace(/^#/, "")) return;
  const address = fragment ? `#${fragment}` : location.pathname + location.search;
  try {
    if (how === "push") history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  } catch {
    // A document without an address of its own cannot remember; nothing else depends on it.
  }
}

const LONGEST_ID = 200;
const MOST_STEPS = 99;

export interface Bounds {
  /** How many columns there are of every kind. */
  columns: Map<ColumnsName, number>;
  nLayers: number;
}

/** Write a state as a fragment; what is as at the start is left out. */
export function toFragment(state: State): string {
  const parts: string[] = [];
  if (state.n !== null) parts.push(`n=${state.n}`);
  if (state.node) parts.push(`node=${state.node.layer}.${state.node.pos}`);
  if (!state.sink) parts.push("sink=0");
  if (state.layer !== null) parts.push(`layer=${state.layer}`);
  if (state.tab) parts.push(`tab=${state.tab}`);
  if (state.columns !== "tokens") parts.push(`columns=${state.columns}`);
  if (state.theme) parts.push(`theme=${state.theme}`);
  if (state.claim !== null) parts.push(`claim=${encodeURIComponent(state.claim)}`);
  if (state.graph) parts.push("graph=1");
  if (state.step !== null) parts.push(`step=${state.step}`);
  return parts.join("&");
}

/** Read a fragment; what it does not say, or says wrongly, is as at the start. */
export function fromFragment(fragment: string, bounds: Bounds): State {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const theme = given.get("theme");
  const asked = given.get("columns");
  const claim = given.get("claim");
  const step = whole(given.get("step"), MOST_STEPS);
  const columns = [...bounds.columns.keys()].find((name) => name === asked) ?? "tokens";
  return {
    n: whole(given.get("n"), Number.MAX_SAFE_INTEGER),
    node: nodeOf(given.get("node"), bounds.nLayers, bounds.columns.get(columns) ?? 0),
    sink: given.get("sink") !== "0",
    layer: whole(given.get("layer"), bounds.nLayers - 1),
    tab: /^[a-z]{1,12}$/.test(given.get("tab") ?? "") ? given.get("tab") : null,
    columns,
    theme: theme === "light" || theme === "dark" ? theme : null,
    claim: claim && claim.length <= LONGEST_ID ? claim : null,
    graph: given.get("graph") === "1",
    step: step === 0 ? null : step,
  };
}

function nodeOf(text: string | null, nLayers: number, nColumns: number): NodeRef | null {
  const [first = null, second = null] = text?.split(".") ?? [];
  const layer = whole(first, nLayers);
  const pos = whole(second, nColumns - 1);
  return layer === null || pos === null ? null : { layer, pos };
}

function whole(text: string | null, most: number): number | null {
  if (text === null || !/^\d{1,9}$/.test(text)) return null;
  const number = Number(text);
  return number <= most ? number : null;
}
