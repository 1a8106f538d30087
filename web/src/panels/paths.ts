// The paths into what is asked: by hops, how far they agree, and the strong ones, lit when pointed at.
import { bar, type Child, h, number, pointing, signClass } from "../dom.ts";
import { asked } from "../facts.ts";
import { signed } from "../format.ts";
import { cutsOf, routeWords, waysInWords } from "../paths.ts";
import type { Scene, ScenePath, ScenePaths } from "../scene.gen.ts";
import type { Store } from "../store.ts";
import { runPanel } from "./running.ts";
import { cutButton } from "./sources.ts";

const LEAST_BAR = 1e-4;

export function pathsPanel(store: Store): Child[] {
  const { paths, why } = store.pathsAnswer.value;
  return [
    paths ? null : runPanel("paths", store),
    h(
      "section",
      { class: "wl-panel wl-paths", "aria-label": "Paths" },
      h("h2", { text: "Paths" }),
      ...(paths ? pathParts(store, paths) : [h("p", { class: "wl-pale", text: `Left out: ${why ?? "there are none in this file"}.` })]),
    ),
  ];
}

/** Which question a path answers, where a strand of the picture answers another one. */
function questions(scene: Scene, paths: ScenePaths): HTMLElement[] {
  const { by, target } = scene.attribution;
  if (paths.by !== "frozen" || by === "frozen") return [];
  const strand = by === "gradient" && target ? asked(scene) : "what a state is made of";
  const words =
    "A path says what it brings with all attention patterns held as they were. " +
    `A strand answers another question, ${strand} by that read alone, where attention moves too: the signs of both may differ.`;
  return [h("p", { class: "wl-hint wl-words", text: words })];
}

function pathParts(store: Store, paths: ScenePaths): HTMLElement[] {
  const strongest = Math.max(...paths.paths.map((path) => Math.abs(path.weight)), 1e-300);
  return [
    h(
      "p",
      { class: "wl-hint" },
      h("span", { class: "wl-words", text: paths.title }),
      ", over ",
      number(paths.ways, waysInWords(paths.ways), "ways"),
      ` way${paths.ways === "1" ? "" : "s"}.`,
    ),
    ...questions(store.scene, paths),
    h("h3", { text: "By number of hops" }),
    hops(paths),
    ...paths.agreement.map(agreement),
    ...paths.effective.map(({ effective, of }) =>
      h(
        "p",
        { class: "wl-hint" },
        "Paths in effect: ",
        number(effective, inEffect(effective), "effective"),
        ` (${of})`,
      ),
    ),
    h("h3", { class: "wl-words", text: paths.found_as }),
    h("ol", { class: "wl-edges" }, ...paths.paths.map((path) => row(store, path, strongest))),
    h("p", { class: "wl-hint wl-words", text: `Caution: ${paths.caution}.` }),
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

function hops({ by_hops }: ScenePaths): HTMLElement {
  const most = Math.max(...by_hops.map(Math.abs), 1e-300);
  const rows = by_hops.map((value, count) => {
    if (Math.abs(value) < most * LEAST_BAR) return null;
    return h(
      "li",
      {},
      h("span", { class: "wl-place", text: String(count) }),
      bar((100 * Math.abs(value)) / most, value < 0 ? "wl-less" : "wl-more"),
      number(value, signed(value), "hops", signClass(value)),
    );
  });
  return h("ol", { class: "wl-hops", "aria-label": "Contribution by number of hops" }, ...rows);
}

function row(store: Store, path: ScenePath, strongest: number): HTMLElement {
  const onCut = store.live?.onCut;
  const words = routeWords(path, store.labels);
  const cuts = cutsOf(path);
  const cutAll = onCut && cuts.length > 0 ? (): void => cuts.forEach(onCut) : undefined;
  return h(
    "li",
    { class: onCut ? "wl-cuttable" : "" },
    h(
      "button",
      { type: "button", class: "wl-path", title: `${words}: ${signed(path.weight)}`, on: pointing(store.pointedPath, path) },
      h("bdi", { class: "wl-route", text: words }),
      bar((100 * Math.abs(path.weight)) / strongest, path.weight < 0 ? "wl-less" : ""),
      number(path.weight, signed(path.weight), "path", signClass(path.weight)),
    ),
    cutButton(cutAll, "", `Cut every read of this path: ${words}`) ?? (onCut ? h("span", { class: "wl-uncut" }) : null),
  );
}
