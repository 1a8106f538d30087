// Hop budgets: the loss at each, and the text coloured by the hops that each token needs.
import { max, range } from "d3-array";
import { scaleLinear } from "d3-scale";
import { type Child, chip, h, number, s } from "../dom.ts";
import { counted, readableText } from "../format.ts";
import { hopStep } from "../overlay.ts";
import type { SceneHopCurve, SceneHops } from "../scene.gen.ts";
import type { Store } from "../store.ts";
import { floorWords } from "../precision.ts";

const CHART = { width: 260, height: 150, left: 30, bottom: 32, top: 20, right: 10 };
const LONGEST_LEGEND = 9;

export function hopsPart({ altered, labels }: Store): Child[] {
  const part = altered.value.hops;
  if (!part) return [];
  const counts = `Hops count in layers: ${readableText(part.layers)}.`;
  const longest = part.longest === null ? "" : ` No hop over more than ${counted(part.longest, "position")}.`;
  return [
    h("h3", { text: "What is said with at most so many hops" }),
    chart(part),
    h("p", { class: "wl-hint wl-words", text: `${counts}${longest} ${sentence(part.tail)}` }),
    ...part.curves.map((curve, at) => needed(curve, labels, at === 0)),
    h("p", {
      class: "wl-hint",
      text: "Hops needed: from so many on, what comes first is what comes first without a limit; tokens no further apart than rounding both come first.",
    }),
    h("p", {
      class: "wl-hint",
      text: "State gain bounds from above what reading past inner states is worth; it includes the cost of being off the model's distribution.",
    }),
  ];
}

/** Words that Python left without a capital and a full stop. */
function sentence(words: string): string {
  const shown = readableText(words);
  return shown === "" ? "" : `${shown.charAt(0).toUpperCase()}${shown.slice(1).replace(/\.?$/, ".")}`;
}

/** What is shown and said of one token. */
export function needWords(need: number | null, close: number | null, pos: number): string {
  if (pos === 0) return "the first token, which nothing predicts";
  if (need === null) return "more hops than the largest budget";
  const nearly = close === null || close === need ? "" : `, close with ${close}`;
  return `${counted(need, "hop")}${nearly}`;
}

function needed(curve: SceneHopCurve, labels: string[], open: boolean): HTMLElement {
  const most = max(curve.hops_needed, (need) => need ?? 0) ?? 0;
  const gain = curve.state_gain_nats;
  return h(
    "details",
    { open },
    h("summary", { text: `Hops each token needs, reads of column 0 ${curve.sink}` }),
    h(
      "p",
      { class: "wl-hopped" },
      ...labels.map((label, at) => {
        const need = curve.hops_needed[at] ?? null;
        const words = needWords(need, curve.hops_needed_close[at] ?? null, at);
        const token = chip(label, hopClass(need, most));
        token.title = `${label}: ${words}`;
        token.append(
          h("sub", {}, need === null ? "–" : number(need, String(need), "hops_needed")),
          h("span", { class: "wl-unseen", text: ` (${words}) ` }),
        );
        return token;
      }),
    ),
    legend(most),
    gain === null ? null : h("p", { class: "wl-hint" }, "State gain: ", number(gain, gain.toFixed(3), "state_gain_nats"), " nats per token."),
  );
}

function hopClass(need: number | null, most: number): string {
  const step = hopStep(need, most);
  return step === null ? "wl-hop-none" : `wl-hop wl-hop-${step}`;
}

function legend(most: number): HTMLElement {
  const every = Math.ceil((most + 1) / LONGEST_LEGEND);
  const sample = (text: string, name: string): HTMLElement => h("span", { class: `wl-swatch ${name}`, text });
  return h(
    "p",
    { class: "wl-hint wl-hop-legend" },
    ...range(0, most + 1, every).map((hops) => sample(String(hops), hopClass(hops, most))),
    " hops",
    sample("–", "wl-hop-none"),
    " more, or the first token",
  );
}

function chart(part: SceneHops): HTMLElement {
  const { width, height, left, right, top, bottom } = CHART;
  const floor = height - bottom;
  const furthest = max(part.curves, (curve) => max(curve.budgets)) || 1;
  const losses = part.curves.flatMap((curve) => curve.loss_nats);
  const x = scaleLinear().domain([0, furthest]).range([left, width - right]);
  const y = scaleLinear().domain([0, max([part.loss_full_nats, ...losses]) || 1]).range([floor, top]).nice(4);
  const plain = y(part.loss_full_nats);
  const image = s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "wl-chart", role: "img", "aria-label": chartWords(part) },
    ...y.ticks(4).flatMap((tick) => [
      s("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick), class: "wl-chart-grid" }),
      s("text", { x: left - 5, y: y(tick) + 3.5, class: "wl-tick", "text-anchor": "end", text: String(tick) }),
    ]),
    ...x.ticks(Math.min(furthest, 8)).filter(Number.isInteger).map((tick) =>
      s("text", { x: x(tick), y: floor + 14, class: "wl-tick", "text-anchor": "middle", text: String(tick) }),
    ),
    s("text", { x: 2, y: 9, class: "wl-tick", text: "nats per token" }),
    s("text", { x: width - right, y: height - 4, class: "wl-tick", "text-anchor": "end", text: "hops" }),
    s("line", { x1: left, x2: width - right, y1: plain, y2: plain, class: "wl-full" }),
    ...part.curves.map((curve) => {
      const places = curve.budgets.map((budget, at) => `${x(budget).toFixed(1)} ${y(curve.loss_nats[at] ?? 0).toFixed(1)}`);
      return s("path", { d: `M${places.join("L")}`, class: `wl-curve wl-sink-${curve.sink}` });
    }),
  );
  const precision = part.curves[0]?.precision["loss_nats"];
  const caption = h(
    "figcaption",
    {},
    ...part.curves.map(ends),
    h(
      "span",
      { class: "wl-line wl-line-full" },
      "any number of hops: ",
      number(part.loss_full_nats, part.loss_full_nats.toFixed(3), "loss_full_nats"),
    ),
    ...(precision ? [h("span", { class: "wl-hint", text: `A difference of two losses is ${floorWords(precision, "nats")}` })] : []),
  );
  const figure = h("figure", { class: "wl-figure" });
  figure.append(image, caption);
  return figure;
}

/** Where a curve begins and ends, as numbers. */
function ends(curve: SceneHopCurve): HTMLElement {
  const at = (place: number): (HTMLElement | string)[] => {
    const [budget, loss] = [curve.budgets[place] ?? 0, curve.loss_nats[place] ?? 0];
    const hops = number(budget, String(budget), "hop_budget");
    return [number(loss, loss.toFixed(2), "loss_nats"), " at ", hops];
  };
  const last = curve.budgets.length - 1;
  const rest = last > 0 ? [", ", ...at(last)] : [];
  return h("span", { class: `wl-line wl-sink-${curve.sink}` }, `column 0 ${curve.sink}: `, ...at(0), ...rest);
}

function chartWords(part: SceneHops): string {
  const told = (curve: SceneHopCurve): string =>
    curve.budgets.map((budget, at) => `${counted(budget, "hop")} ${(curve.loss_nats[at] ?? 0).toFixed(2)}`).join(", ");
  const curves = part.curves.map((curve) => `column 0 ${curve.sink}: ${told(curve)}`).join("; ");
  return `Loss in nats per token. ${curves}; any number of hops ${part.loss_full_nats.toFixed(2)}`;
}
