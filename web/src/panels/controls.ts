// The slider that chooses how much is drawn and says what it keeps; column 0; the widest strand.
import { change } from "../actions.ts";
import { type Child, h, number } from "../dom.ts";
import { count, counted, percent, plain } from "../format.ts";
import type { ColumnsName } from "../grouping.ts";
import { countAt, placeOf, type Selection } from "../select.ts";
import type { Store } from "../store.ts";
import { selector } from "./selector.ts";

const STEPS = 1000;

export function controls(store: Store, about: HTMLDialogElement): HTMLElement {
  const { choices, selection, columns } = store;
  const explain = {
    type: "button",
    class: "wl-i",
    "aria-label": "What the weights mean",
    title: "What the weights mean",
    text: "i",
    on: { click: () => about.showModal() },
  };
  const sink = h("input", {
    type: "checkbox",
    checked: () => choices.sink.value,
    on: { change: () => change(store, { sink: sink.checked }, "replace") },
  });
  const sinkTitle = "Many models park attention they do not need on the first token. Hide what is read from it.";
  return h(
    "div",
    { class: "wl-controls" },
    h(
      "div",
      { class: "wl-amount" },
      slider(store),
      h("output", {
        class: "wl-says",
        title: () => amountTitle(selection.value, columns.value.name),
        content: () => amount(selection.value, columns.value.name),
      }),
      h("button", explain),
    ),
    h("span", {
      class: "wl-widths",
      title: store.scene.attribution.unit,
      content: () => widest(selection.value.strongest),
    }),
    selector(store),
    h("label", { class: "wl-check", title: sinkTitle }, sink, "reads of column 0"),
  );
}

function slider(store: Store): HTMLInputElement {
  const { selection, columns } = store;
  const place = (): string => String(Math.round(placeOf(selection.value.edges.length, selection.value.available) * STEPS));
  const set = (n: number, noting: "replace" | "none"): void => {
    change(store, { n }, noting);
    input.value = place(); // a place between two counts is given up, though nothing changed
  };
  const dragged = (): number => countAt(Number(input.value) / STEPS, selection.value.available);
  const input = h("input", {
    type: "range",
    min: 0,
    max: STEPS,
    step: 1,
    class: "wl-slider",
    "aria-label": "How many edges are drawn",
    "aria-valuetext": () => amountWords(selection.value, columns.value.name),
    value: place,
    disabled: () => selection.value.available === 0,
    on: {
      input: () => set(dragged(), "none"),
      change: () => set(dragged(), "replace"),
      keydown: (event) => {
        const n = countAfter(event.key, selection.value);
        if (n === null) return;
        event.preventDefault();
        event.stopPropagation();
        set(n, "replace");
      },
    },
  });
  return input;
}

/** Arrow keys go edge by edge, whatever the scale of the slider. */
function countAfter(key: string, { edges, available }: Selection): number | null {
  const leap = Math.max(10, Math.round(edges.length / 4));
  const steps: Record<string, number> = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: leap, PageDown: -leap };
  const step = steps[key];
  return step === undefined ? null : Math.max(0, Math.min(available, edges.length + step));
}

/** What edges and their sum are called between these columns. */
function nouns(name: ColumnsName): { edge: string; flow: string } {
  return name === "tokens" ? { edge: "edge", flow: "flow" } : { edge: "group edge", flow: "net flow" };
}

function amount({ edges, of, share }: Selection, name: ColumnsName): Child[] {
  const { edge, flow } = nouns(name);
  return [
    number(edges.length, count(edges.length), "drawn_edges"),
    " of ",
    number(of, count(of), "all_edges"),
    ` ${counted(of, edge).replace(/^[\d,]+ /, "")}, `,
    number(share, percent(share), "flow_share"),
    ` of the ${flow}`,
  ];
}

function amountWords({ edges, of, share }: Selection, name: ColumnsName): string {
  const { edge, flow } = nouns(name);
  return `${count(edges.length)} of ${counted(of, edge)}, ${percent(share)} of the ${flow}`;
}

function amountTitle({ available, of }: Selection, name: ColumnsName): string {
  const [between, weight] = name === "tokens" ? ["", "weight"] : [`between ${name} `, "net"];
  return `${counted(available, "edge")} ${between}can be drawn; the share is of the sum of |${weight}| over all ${counted(of, nouns(name).edge)} of the run.`;
}

function widest(strongest: number): Child[] {
  return strongest > 0 ? ["widest strand ", number(strongest, plain(strongest), "widest")] : [];
}
