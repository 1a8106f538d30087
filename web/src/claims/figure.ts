// One figure of a verdict: a small chart, its legend, and its numbers as a table.
import { figure as numberOf, h, s } from "../dom.ts";
import { plain } from "../format.ts";
import type { ClaimsFigure, ClaimsSeries } from "../claims.gen.ts";
import { type Frame, frameOf } from "./frame.ts";
import { drawBars } from "./marks/bar.ts";
import { drawLine } from "./marks/line.ts";
import { drawPoints, pointShape } from "./marks/point.ts";
import { drawRule } from "./marks/rule.ts";

const COLOURS = 6;
const MARKS: Record<ClaimsFigure["mark"], (frame: Frame, series: ClaimsSeries, at: number) => SVGElement[]> = {
  line: drawLine,
  bar: drawBars,
  point: drawPoints,
};

export function chartOf(figure: ClaimsFigure): HTMLElement {
  const frame = frameOf(figure);
  const drawing = s(
    "svg",
    { viewBox: `0 0 ${frame.width} ${frame.height}`, class: "wl-claim-chart", role: "img", "aria-label": figureWords(figure) },
    ...frame.axes,
    ...figure.series.map((series, at) => s("g", { class: `wl-series wl-series-${at % COLOURS}` }, ...MARKS[figure.mark](frame, series, at))),
    ...drawRule(frame, figure.rule, figure.rule_name),
  );
  const box = h("figure", { class: "wl-claim-figure" }, h("figcaption", { text: figure.title }));
  box.append(drawing);
  if (figure.series.length > 1) box.append(legend(figure));
  box.append(numbers(figure));
  return box;
}

function legend({ mark, series }: ClaimsFigure): HTMLElement {
  return h(
    "p",
    { class: "wl-claim-legend" },
    ...series.map(({ name }, at) => {
      const sample = mark === "line" ? s("path", { d: "M0 7H20", class: "wl-curve" }) : mark === "bar" ? s("rect", { x: 5, y: 2, width: 10, height: 10, rx: 1.5, class: "wl-fill" }) : s("path", { d: pointShape(at), transform: "translate(10 7)", class: "wl-fill" });
      const drawn = s("svg", { viewBox: "0 0 20 14", class: `wl-sample-mark wl-series wl-series-${at % COLOURS}`, "aria-hidden": "true" }, sample);
      return h("span", {}, drawn, name);
    }),
  );
}

/** Every number of the chart, for whoever does not see it or wants it to the last digit. */
function numbers({ x, y, series }: ClaimsFigure): HTMLElement {
  const head = h("tr", {}, ...[...(series.length > 1 ? ["series"] : []), x, y, "95 % interval"].map((text) => h("th", { scope: "col", text })));
  const rows = series.flatMap((one) =>
    one.x.map((place, n) => {
      const [value, low, high] = [one.y[n] ?? null, one.low?.[n] ?? null, one.high?.[n] ?? null];
      const cell = (shown: number | null): HTMLElement | string => (shown === null ? "–" : numberOf(shown, plain(shown)));
      const ends = low === null && high === null ? [""] : [cell(low), " to ", cell(high)];
      const at = typeof place === "number" ? plain(place) : place;
      return h("tr", {}, series.length > 1 && h("td", { text: one.name }), h("td", { text: at }), h("td", {}, cell(value)), h("td", {}, ...ends));
    }),
  );
  return h(
    "details",
    { class: "wl-claim-numbers" },
    h("summary", { text: "Numbers" }),
    h("div", { class: "wl-wide-table", tabindex: 0, role: "group", "aria-label": "Numbers of the chart" }, h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows))),
  );
}

function figureWords({ title, x, y, series, rule, rule_name }: ClaimsFigure): string {
  const told = series.map(({ name, y: values }) => {
    const known = values.filter((one): one is number => one !== null);
    return known.length === 0 ? name : `${name}: ${known.length} values, ${plain(Math.min(...known))} to ${plain(Math.max(...known))}`;
  });
  const level = rule === null ? "" : `; ${rule_name ?? "level"} at ${plain(rule)}`;
  return `${title}. ${y} by ${x}. ${told.join("; ")}${level}`;
}
