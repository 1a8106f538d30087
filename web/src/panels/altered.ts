// Runs that never happened: hop budgets, cuts, a light cone, orders of execution.
import { scaleLinear } from "d3-scale";
import { chip, h, number, s, signClass } from "../dom.ts";
import { signed, visibleText } from "../format.ts";
import { coneHeat, cutOverlay, hopStep, orderHeat, type Overlay } from "../overlay.ts";
import type { Scene, SceneAltered, SceneCone, SceneCut, SceneHops, SceneOrders } from "../scene.gen.ts";

export interface AlteredEvents {
  onOverlay(overlay: Overlay | null): void;
}

const CHART = { width: 260, height: 130, left: 30, bottom: 22, top: 8, right: 8 };
const LISTED = 5;

/** The panel, or null where the Scene has no altered run. */
export function alteredPanel(scene: Scene, labels: string[], events: AlteredEvents): HTMLElement | null {
  const altered = scene.altered;
  if (!altered) return null;
  return h(
    "section",
    { class: "wl-panel wl-altered", "aria-label": "Runs that never happened" },
    h("h2", { text: "Runs that never happened" }),
    ...parts(altered, labels, events),
  );
}

function parts(altered: SceneAltered, labels: string[], events: AlteredEvents): HTMLElement[] {
  const found: HTMLElement[] = [];
  if (altered.hops) found.push(...hops(altered.hops, labels));
  if (altered.cut) found.push(...cut(altered.cut, events));
  if (altered.cone) found.push(...cone(altered.cone, labels, events));
  if (altered.orders) found.push(...orders(altered.orders, events));
  return found;
}

function hops(part: SceneHops, labels: string[]): HTMLElement[] {
  const out = [
    h("h3", { text: "At most h hops: loss, in nats per token" }),
    chart(part),
    h("p", { class: "wl-hint", text: `Dashed: nothing limited, ${part.loss_full_nats.toFixed(3)}. ${part.tail}.` }),
  ];
  for (const curve of part.curves) {
    const most = Math.max(0, ...curve.hops_needed.map((need) => need ?? 0));
    out.push(
      h("h3", { text: `Hops each token needs (column 0 ${curve.sink})` }),
      h(
        "p",
        { class: "wl-hopped" },
        ...labels.map((label, at) => {
          const need = curve.hops_needed[at] ?? null;
          const step = hopStep(need, most);
          const words = need === null ? "more, or the first token" : `${need} hops`;
          const token = chip(label, step === null ? "wl-hop-none" : `wl-hop-${step}`);
          token.title = `${label}: ${words}`;
          token.append(h("sub", { text: need === null ? "–" : String(need) }));
          return token;
        }),
      ),
    );
    if (curve.state_gain_nats !== null) {
      const gain = curve.state_gain_nats.toFixed(3);
      out.push(
        h("p", {
          class: "wl-hint",
          text: `Reading past inner states, not tokens alone, is worth at most ${gain} nats; the cost of being off the model's distribution is in it.`,
        }),
      );
    }
  }
  return out;
}

function chart(part: SceneHops): HTMLElement {
  const { width, height, left, right, top, bottom } = CHART;
  const budgets = Math.max(1, ...part.curves.map((curve) => curve.budgets.length - 1));
  const most = Math.max(part.loss_full_nats, ...part.curves.flatMap((curve) => curve.loss_nats));
  const x = scaleLinear().domain([0, budgets]).range([left, width - right]);
  const y = scaleLinear().domain([0, most]).range([height - bottom, top]);
  const line = (values: number[]): string =>
    values.map((value, at) => `${at ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const image = s(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      class: "wl-chart",
      role: "img",
      "aria-label": part.curves
        .map((c) => `column 0 ${c.sink}: ${c.loss_nats.map((v, at) => `${at} hops ${v.toFixed(2)}`).join(", ")}`)
        .join("; "),
    },
    ...y.ticks(4).map((tick) =>
      s("g", {}, s("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "wl-grid" }),
        s("text", { x: left - 5, y: y(tick) + 4, class: "wl-tick wl-end", text: String(tick) })),
    ),
    ...x.ticks(Math.min(budgets, 8)).filter(Number.isInteger).map((tick) =>
      s("text", { x: x(tick), y: height - 6, class: "wl-tick wl-middle", text: String(tick) }),
    ),
    s("path", { d: `M${left} ${y(part.loss_full_nats)}H${width - right}`, class: "wl-full" }),
    ...part.curves.map((curve) => s("path", { d: line(curve.loss_nats), class: `wl-curve wl-${curve.sink}` })),
  );
  const legend = part.curves.map((curve) => h("span", { class: `wl-key wl-${curve.sink}`, text: `column 0 ${curve.sink}` }));
  const figure = h("figure", { class: "wl-figure" });
  figure.append(image, h("figcaption", {}, ...legend));
  return figure;
}

function cut(part: SceneCut, events: AlteredEvents): HTMLElement[] {
  const column = (title: string, list: SceneCut["before"]): HTMLElement =>
    h(
      "div",
      {},
      h("h4", { text: title }),
      h(
        "ol",
        {},
        ...list.slice(0, LISTED).map((one) =>
          h("li", {}, h("span", { class: "wl-number", text: `${(100 * Math.exp(one.logprob)).toFixed(1)} %` }), chip(visibleText(one.token))),
        ),
      ),
    );
  const box = h("input", { type: "checkbox", on: { change: () => events.onOverlay(box.checked ? cutOverlay(part) : null) } });
  return [
    h("h3", { text: "Cut" }),
    ...part.words.map((words) => h("p", { class: "wl-hint", text: words })),
    h("label", { class: "wl-choice" }, box, "Show what is severed"),
    h("div", { class: "wl-pair" }, column("before", part.before), column("after", part.after)),
    h(
      "p",
      {},
      `log-probability of `,
      chip(visibleText(part.target)),
      ` `,
      number(part.change_nats, signed(part.change_nats), "change_nats", signClass(part.change_nats)),
      ` nats; KL `,
      number(part.kl_nats, part.kl_nats.toFixed(3), "kl_nats"),
    ),
  ];
}

function cone(part: SceneCone, labels: string[], events: AlteredEvents): HTMLElement[] {
  const names = ["off", ...part.responses.map((one) => one.through)];
  const paint = (name: string): void =>
    events.onOverlay(name === "off" ? null : { heat: coneHeat(part, name), firstRow: 0, edges: [], nodes: [] });
  return [
    h("h3", { text: `Light cone of ${labels[part.pos] ?? ""} (${part.pos}) at layer ${part.layer}` }),
    choices("wl-cone", "Paint the response through", names, paint),
    h("p", {
      class: "wl-hint",
      text:
        `A tenth of the change is a third paler; what stays unpainted is exactly zero. Outside the cone: ${part.outside_zero ? "bitwise zero" : "NOT zero"}.` +
        (part.derivative_error === null ? "" : ` Finite step against the derivative: ${part.derivative_error.toExponential(1)}.`),
    }),
  ];
}

function orders(part: SceneOrders, events: AlteredEvents): HTMLElement[] {
  const paint = (name: string): void => {
    const order = part.orders.find((one) => one.name === name);
    events.onOverlay(order ? { heat: orderHeat(order), firstRow: 1, edges: [], nodes: [] } : null);
  };
  const cells = ["order", "slices", "widest", "blocks", "s", "nats"];
  return [
    h("h3", { text: "Orders of execution" }),
    h(
      "table",
      { class: "wl-orders" },
      h("thead", {}, h("tr", {}, ...cells.map((text) => h("th", { text })))),
      h(
        "tbody",
        {},
        ...part.orders.map((one) =>
          h(
            "tr",
            {},
            ...[one.name, one.n_slices, one.widest, `${one.blocks}/${one.of_blocks}`, one.seconds.toFixed(2), one.nats === null ? "–" : one.nats.toExponential(0)].map((text) =>
              h("td", { text: String(text) }),
            ),
          ),
        ),
      ),
    ),
    choices("wl-order", "Paint when each block ran", ["off", ...part.orders.map((one) => one.name)], paint),
  ];
}

function choices(name: string, title: string, options: string[], onChoice: (chosen: string) => void): HTMLElement {
  return h(
    "fieldset",
    { class: "wl-choices" },
    h("legend", { text: title }),
    ...options.map((option, at) =>
      h("label", { class: "wl-choice" },
        h("input", { type: "radio", name, value: option, checked: at === 0, on: { change: () => onChoice(option) } }), option),
    ),
  );
}
