// The paths into what is asked: by hops, how far they agree, and the strong ones, lit when pointed at.
import { h, number, signClass } from "../dom.ts";
import { asked } from "../facts.ts";
import { signed } from "../format.ts";
import type { Scene, ScenePath, ScenePaths } from "../scene.gen.ts";
import { cutButton } from "./sources.ts";

const LEAST_BAR = 1e-4;
const WRITTEN_OUT = 15;

export interface PathEvents {
  onPath(path: ScenePath | null): void;
  /** Cut all reads of a path; left out where nothing can be run. */
  onCut?: ((cut: string) => void) | undefined;
}

/** The reads of a path as cuts: cutting them all takes the path away. */
export function cutsOf(path: ScenePath): string[] {
  const hops = path.nodes.flatMap((node, at) => {
    const before = path.nodes[at - 1];
    return before && before.pos !== node.pos ? [[before.pos, node.pos]] : [];
  });
  return path.reads.map(({ layer, head }, at) => `${layer}.${head ?? "*"}:${hops[at]?.[0]}>${hops[at]?.[1]}`);
}

export function pathsPanel(scene: Scene, labels: string[], events: PathEvents): HTMLElement {
  const seen = scene.paths;
  const why = scene.paths_left_out ?? "there are none in this file";
  return h(
    "section",
    { class: "wl-panel wl-paths", "aria-label": "Paths" },
    h("h2", { text: "Paths" }),
    ...(seen ? found(scene, seen, labels, events) : [h("p", { class: "wl-pale", text: `Left out: ${why}.` })]),
  );
}

/** Which question a path answers, where a strand of the picture answers another one. */
function questions(scene: Scene): HTMLElement[] {
  const { by, target } = scene.attribution;
  if (scene.paths?.by !== "frozen" || by === "frozen") return [];
  const strand = by === "gradient" && target ? asked(scene) : "what a state is made of";
  const words =
    "A path says what it brings with all attention patterns held as they were. " +
    `A strand answers another question, ${strand} by that read alone, where attention moves too: the signs of both may differ.`;
  return [h("p", { class: "wl-hint wl-words", text: words })];
}

function found(scene: Scene, seen: ScenePaths, labels: string[], events: PathEvents): HTMLElement[] {
  const strongest = Math.max(...seen.paths.map((path) => Math.abs(path.weight)), 1e-300);
  return [
    h(
      "p",
      { class: "wl-hint" },
      h("span", { class: "wl-words", text: seen.title }),
      ", over ",
      number(seen.ways, waysInWords(seen.ways), "ways"),
      ` way${seen.ways === "1" ? "" : "s"}.`,
    ),
    ...questions(scene),
    h("h3", { text: "By number of hops" }),
    hops(seen),
    ...seen.agreement.map(agreement),
    ...seen.effective.map((one) =>
      h(
        "p",
        { class: "wl-hint" },
        "Paths in effect: ",
        number(one.effective, inEffect(one.effective), "effective"),
        ` (${one.of})`,
      ),
    ),
    h("h3", { class: "wl-words", text: seen.found_as }),
    h("ol", { class: "wl-edges" }, ...seen.paths.map((path) => row(path, labels, strongest, events))),
    h("p", { class: "wl-hint wl-words", text: `Caution: ${seen.caution}.` }),
  ];
}

function agreement({ grouping, coherence, shuffled, estimated, interval }: ScenePaths["agreement"][number]): HTMLElement {
  const ends = (one: { low: number; high: number }): (HTMLElement | string)[] => [
    number(one.low, one.low.toFixed(2), "coherence_interval"),
    " to ",
    number(one.high, one.high.toFixed(2), "coherence_interval"),
  ];
  const beside = shuffled
    ? [" (random signs: ", ...ends(shuffled), ")"]
    : estimated
      ? [" (", ...ends(estimated), "; ", h("span", { class: "wl-words", text: interval }), ")"]
      : [];
  const value = coherence === null ? "none" : number(coherence, coherence.toFixed(2), "coherence");
  return h("p", { class: "wl-hint" }, `Coherence over ${grouping}: `, value, ...beside);
}

function inEffect(count: number): string {
  return count < 1e6 ? count.toLocaleString("en", { maximumFractionDigits: 1 }) : count.toExponential(2);
}

/** A count of paths: written out while it can be read, in powers of ten beyond. */
export function waysInWords(ways: string): string {
  if (ways.length <= WRITTEN_OUT) return ways.replace(/\B(?=(\d{3})+$)/g, ",");
  return `${ways[0]}.${ways.slice(1, 3)}e${ways.length - 1}`;
}

function hops(seen: ScenePaths): HTMLElement {
  const most = Math.max(...seen.by_hops.map(Math.abs), 1e-300);
  const rows = seen.by_hops.map((value, count) => {
    if (Math.abs(value) < most * LEAST_BAR) return null;
    const bar = h("i", { class: value < 0 ? "wl-less" : "wl-more" });
    bar.style.width = `${(100 * Math.abs(value)) / most}%`;
    return h(
      "li",
      {},
      h("span", { class: "wl-place", text: String(count) }),
      h("span", { class: "wl-bar", "aria-hidden": "true" }, bar),
      number(value, signed(value), "hops", signClass(value)),
    );
  });
  return h("ol", { class: "wl-hops", "aria-label": "Contribution by number of hops" }, ...rows);
}

/** Where a path begins and where it hops: token and column, and the layer and head of each read. */
export function routeWords(path: ScenePath, labels: string[]): string {
  const name = (pos: number): string => `${labels[pos] ?? ""} (${pos})`;
  const stops = path.nodes.filter((node, at) => at === 0 || node.pos !== path.nodes[at - 1]?.pos);
  return stops
    .map(({ pos }, at) => {
      const read = path.reads[at - 1];
      if (!read) return name(pos);
      const where = read.head === null ? `L${read.layer}` : `L${read.layer} h${read.head}`;
      return `→ ${where} → ${name(pos)}`;
    })
    .join(" ");
}

function row(
  path: ScenePath,
  labels: string[],
  strongest: number,
  events: PathEvents,
): HTMLElement {
  const bar = h("i", { class: path.weight < 0 ? "wl-less" : "" });
  bar.style.width = `${(100 * Math.abs(path.weight)) / strongest}%`;
  const words = routeWords(path, labels);
  const on = {
    pointerenter: () => events.onPath(path),
    pointerleave: () => events.onPath(null),
    focus: () => events.onPath(path),
    blur: () => events.onPath(null),
  };
  const cuts = cutsOf(path);
  const cutAll = events.onCut && cuts.length > 0 ? (): void => cuts.forEach((cut) => events.onCut?.(cut)) : undefined;
  return h(
    "li",
    { class: events.onCut ? "wl-cuttable" : "" },
    h(
      "button",
      { type: "button", class: "wl-path", title: `${words}: ${signed(path.weight)}`, on },
      h("bdi", { class: "wl-route", text: words }),
      h("span", { class: "wl-bar", "aria-hidden": "true" }, bar),
      number(path.weight, signed(path.weight), "path", signClass(path.weight)),
    ),
    cutButton(cutAll, "", `Cut every read of this path: ${words}`) ?? (events.onCut ? h("span", { class: "wl-uncut" }) : null),
  );
}
