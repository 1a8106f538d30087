// What is current as heat on the lattice: the response to a perturbation, or when each block ran.
import { computed } from "@preact/signals-core";
import { type Child, h, number } from "../dom.ts";
import { follow } from "../effects.ts";
import { count, percent, plain, readableText, rough } from "../format.ts";
import { DECADES, DONE, largest, opacity } from "../overlay.ts";
import { floorWords, least, told } from "../precision.ts";
import type { SceneCone, SceneOrder, SceneOrders, ScenePrecision } from "../scene.gen.ts";
import type { Store } from "../store.ts";
import { player } from "./player.ts";

export function conePart({ altered, labels, painting }: Store): Child[] {
  const part = altered.value.cone;
  if (!part) return [];
  const current = computed(() => (painting.value?.part === "cone" ? painting.value.through : "off"));
  const choice = (through: string): HTMLElement => {
    const paint = (): void => {
      if (through !== "off") painting.value = { part: "cone", through };
      else if (current.value !== "off") painting.value = null;
    };
    const radio = h("input", { type: "radio", name: "wl-cone", value: through, checked: () => current.value === through, on: { change: paint } });
    return h("label", { class: "wl-choice" }, radio, through);
  };
  return [
    h("h3", { text: `Light cone: a perturbation at ${labels[part.pos] ?? ""} (${part.pos}), layer ${part.layer}` }),
    h(
      "fieldset",
      { class: "wl-choices" },
      h("legend", { text: "Paint the change that went through" }),
      ...["off", ...part.responses.map(({ through }) => through)].map(choice),
    ),
    legendLine(() => (current.value === "off" ? [] : coneLegend(largest(part, current.value)))),
    h("p", { class: "wl-hint" }, ...coneWords(part)),
  ];
}

/** Said anew only where it differs: it is read aloud. */
function legendLine(legend: () => HTMLElement[]): HTMLElement {
  const line = h("p", { class: "wl-hint wl-heat-legend", "aria-live": "polite" });
  follow(() => {
    const samples = legend();
    if (line.textContent !== samples.map(({ textContent }) => textContent).join("")) line.replaceChildren(...samples);
  });
  return line;
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

export function ordersPart({ altered, painting }: Store): Child[] {
  const part = altered.value.orders;
  if (!part) return [];
  const current = computed(() => (painting.value?.part === "orders" ? painting.value : null));
  const order = computed(() => (current.value && part.orders[current.value.at]) ?? null);
  const isPlayed = computed(() => current.value !== null && order.value !== null && current.value.slice < order.value.n_slices);
  const select = h(
    "select",
    {
      class: "wl-select",
      "aria-label": "Paint when each block ran",
      selectedIndex: () => (current.value?.at ?? -1) + 1,
      on: {
        change: () => {
          const at = select.selectedIndex - 1;
          const next = part.orders[at];
          if (next) painting.value = { part: "orders", at, slice: next.n_slices };
          else if (current.value) painting.value = null;
        },
      },
    },
    ...["off", ...part.orders.map(({ name }) => readableText(name))].map((text) => h("option", { value: text, text })),
  );
  return [
    h("h3", { text: "Orders of execution" }),
    h("div", { class: "wl-choice" }, h("span", { "aria-hidden": "true", text: "Paint when each block ran" }), select),
    player(order, painting),
    legendLine(() => (isPlayed.value ? playedLegend() : orderLegend(order.value))),
    ordersTable(part),
    h(
      "p",
      { class: "wl-hint" },
      "Equivalent plain runs differ by ",
      number(part.floor_nats, part.floor_nats === 0 ? "0" : part.floor_nats.toExponential(1), "floor_nats"),
      " nats",
      ...(part.precision["nats"] ? [`, the rounding of ${part.precision["nats"].dtype} alone by up to ${plain(part.precision["nats"].resolution)}`] : []),
      ".",
    ),
  ];
}

function ordersTable({ orders, precision }: SceneOrders): HTMLElement {
  const heads = ["slices", "widest", "chain", "blocks", "s", "nats", "ulp"];
  return h(
    "div",
    { class: "wl-wide-table", tabindex: 0, role: "region", "aria-label": "Orders of execution" },
    h(
      "table",
      { class: "wl-orders" },
      h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col", text })))),
      ...orders.map((order) => orderRows(order, precision["nats"])),
    ),
  );
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

function orderLegend(order: SceneOrder | null): HTMLElement[] {
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
