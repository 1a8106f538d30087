// What is painted as heat on the lattice: the response to a perturbation, or when each block ran.
import { h, number } from "../dom.ts";
import { count, percent, plain, readableText, rough } from "../format.ts";
import { coneHeat, DECADES, DONE, type Heat, largest, opacity, orderHeat } from "../overlay.ts";
import { Player } from "./player.ts";
import { floorWords, least, told } from "../precision.ts";
import type { SceneCone, SceneOrder, SceneOrders, ScenePrecision } from "../scene.gen.ts";

/** A part of the panel that can be told that something else is painted now. */
export interface Painter {
  elements: HTMLElement[];
  clear(): void;
}

export type Paint = (heat: Heat | null, firstRow: number) => void;

export function conePart(part: SceneCone, labels: string[], paint: Paint): Painter {
  const key = h("p", { class: "wl-hint wl-heat-legend", "aria-live": "polite" });
  const show = (name: string): void => {
    paint(name === "off" ? null : coneHeat(part, name), 0);
    key.replaceChildren(...(name === "off" ? [] : coneLegend(largest(part, name))));
  };
  const radio = (name: string): HTMLInputElement =>
    h("input", { type: "radio", name: "wl-cone", value: name, checked: name === "off", on: { change: () => show(name) } });
  const off = radio("off");
  const choice = (input: HTMLInputElement): HTMLElement => h("label", { class: "wl-choice" }, input, input.value);
  return {
    elements: [
      h("h3", { text: `Light cone: a perturbation at ${labels[part.pos] ?? ""} (${part.pos}), layer ${part.layer}` }),
      h(
        "fieldset",
        { class: "wl-choices" },
        h("legend", { text: "Paint the change that went through" }),
        choice(off),
        ...part.responses.map((one) => choice(radio(one.through))),
      ),
      key,
      h("p", { class: "wl-hint" }, ...coneWords(part)),
    ],
    clear() {
      off.checked = true;
      key.replaceChildren();
    },
  };
}

function coneWords(part: SceneCone): (HTMLElement | string)[] {
  const error = part.derivative_error;
  const added = part.additivity_error;
  const said = (value: number, name: "derivative_error" | "additivity_error"): HTMLElement =>
    number(value, value.toExponential(1), name);
  return [
    "Change of each node over its norm, mean of ",
    number(part.n_directions, String(part.n_directions), "n_directions"),
    " directions, step ",
    number(part.step, plain(part.step), "perturbation_step"),
    `. Outside the cone: ${part.outside_zero ? "exactly zero" : "NOT zero"}.`,
    ...(part.precision["relative"] ? [` A change is ${floorWords(part.precision["relative"], "of the node")}.`] : []),
    ...(error === null ? [] : [" Finite step against the derivative: ", said(error, "derivative_error"), "."]),
    ...(added === null ? [] : [" Residual and kv added, against both: ", said(added, "additivity_error"), "."]),
  ];
}

function swatch(heat: number, ...words: (string | HTMLElement)[]): HTMLElement {
  const colour = h("i", { class: "wl-heat", "aria-hidden": "true" });
  colour.style.opacity = String(opacity(heat));
  return h("span", { class: "wl-sample" }, colour, h("span", {}, ...words));
}

function coneLegend(most: number): HTMLElement[] {
  if (most === 0) return [h("span", { text: "Nothing changes anywhere." })];
  const steps = Array.from({ length: DECADES + 1 }, (_, step) => step);
  const words = (step: number): (string | HTMLElement)[] => {
    const value = most * 10 ** -step;
    return [step === DECADES ? "≤ " : "", number(value, plain(value), "relative_change")];
  };
  return [
    ...steps.map((step) => swatch(Math.max(0.06, 1 - step / DECADES), ...words(step))),
    h("span", { text: "unpainted: exactly zero" }),
  ];
}

export function ordersPart(part: SceneOrders, paint: Paint): Painter {
  const key = h("p", { class: "wl-hint wl-heat-legend", "aria-live": "polite" });
  const player = new Player((heat, played) => {
    paint(heat, 0.5);
    tell(played ? playedLegend() : orderLegend(part.orders[select.selectedIndex - 1]));
  });
  /** Said anew only where it differs: it is read aloud. */
  const tell = (legend: HTMLElement[]): void => {
    if (key.textContent !== legend.map((one) => one.textContent).join("")) key.replaceChildren(...legend);
  };
  const show = (at: number): void => {
    const order = part.orders[at];
    player.take(order ?? null);
    paint(order ? orderHeat(order) : null, 0.5);
    tell(orderLegend(order));
  };
  const names = part.orders.map((one) => readableText(one.name));
  const select = h(
    "select",
    { class: "wl-select", "aria-label": "Paint when each block ran", on: { change: () => show(select.selectedIndex - 1) } },
    ...["off", ...names].map((text) => h("option", { value: text, text })),
  );
  const heads = ["slices", "widest", "chain", "blocks", "s", "nats", "ulp"];
  return {
    elements: [
      h("h3", { text: "Orders of execution" }),
      h("div", { class: "wl-choice" }, h("span", { "aria-hidden": "true", text: "Paint when each block ran" }), select),
      player.element,
      key,
      h(
        "div",
        { class: "wl-wide-table", tabindex: 0, role: "region", "aria-label": "Orders of execution" },
        h(
          "table",
          { class: "wl-orders" },
          h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col", text })))),
          ...part.orders.map((one) => orderRows(one, part.precision["nats"])),
        ),
      ),
      h(
        "p",
        { class: "wl-hint" },
        "Equivalent plain runs differ by ",
        number(part.floor_nats, part.floor_nats === 0 ? "0" : part.floor_nats.toExponential(1), "floor_nats"),
        " nats",
        ...(part.precision["nats"] ? [`, the rounding of ${part.precision["nats"].dtype} alone by up to ${plain(part.precision["nats"].resolution)}`] : []),
        ".",
      ),
    ],
    clear() {
      select.selectedIndex = 0;
      player.take(null);
      key.replaceChildren();
    },
  };
}

/** The name of an order over its numbers, so that both fit beside the lattice. */
function orderRows(one: SceneOrder, precision: ScenePrecision | undefined): HTMLElement {
  const part = one.of_blocks === 0 ? 1 : one.blocks / one.of_blocks;
  const share = number(part, percent(part).replace(" ", "\u202f"), "blocks_run");
  const cells = [
    number(one.n_slices, String(one.n_slices), "n_slices"),
    number(one.widest, String(one.widest), "widest_slice"),
    number(one.longest_chain, String(one.longest_chain), "longest_chain"),
    h("span", { title: `${count(one.blocks)} of ${count(one.of_blocks)} blocks` }, share),
    number(one.seconds, one.seconds.toFixed(2), "order_seconds"),
    one.nats === null ? "–" : number(one.nats, told(one.nats, precision) ? one.nats.toExponential(0) : `< ${rough(least(precision))}`, "order_nats"),
    one.ulp === null ? "–" : number(one.ulp, one.ulp.toFixed(1), "order_ulp"),
  ];
  const name = h("th", { scope: "rowgroup", colspan: 7, text: readableText(one.name) });
  return h("tbody", {}, h("tr", {}, name), h("tr", {}, ...cells.map((cell) => h("td", {}, cell))));
}

function orderLegend(order: SceneOrder | undefined): HTMLElement[] {
  if (!order) return [];
  return [
    swatch(0.1, "slice 1"),
    order.n_slices > 1 ? swatch(1, `slice ${order.n_slices}`) : null,
    order.blocks < order.of_blocks ? h("span", { text: "unpainted: not executed" }) : null,
  ].filter((one) => one !== null);
}

function playedLegend(): HTMLElement[] {
  return [swatch(DONE, "done"), swatch(1, "this slice"), h("span", { text: "unpainted: not yet, or never" })];
}
