// The frame of a small chart: its scales, its axes, and where a mark finds its places.
import { extent } from "d3-array";
import { scaleLinear, scaleLog, scalePoint } from "d3-scale";
import { s } from "../dom.ts";
import { clipped } from "../format.ts";
import type { ClaimsFigure } from "../claims.gen.ts";
import { short } from "./records.ts";

const WIDTH = 380;
const HEIGHT = 200;
const MARGIN = { top: 20, right: 12, bottom: 34, left: 50 };
const TURNED_ROOM = 46;
const LETTER = 5.6; // pixels, about, of a letter of a tick
const LONGEST_TICK = 16;
const DECADES = 1000; // from this ratio on a scale of positive numbers is logarithmic

export interface Frame {
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  floor: number;
  /** Where a value of x is; `at` moves the series of one place beside each other. */
  x(value: number | string, at: number): number;
  y(value: number): number;
  /** How wide one series' bar may be. */
  slot: number;
  axes: SVGElement[];
}

export function frameOf(figure: ClaimsFigure): Frame {
  const names = figure.series.flatMap((one) => one.x);
  const named = figure.mark === "bar" || names.some((one) => typeof one === "string");
  const places = [...new Set(names.map(String))];
  const room = WIDTH - MARGIN.left - MARGIN.right;
  const turned = named && places.some((name) => name.length * LETTER > room / places.length - 4);
  const floor = HEIGHT - MARGIN.bottom - (turned ? TURNED_ROOM : 0);
  const right = WIDTH - MARGIN.right;
  const { y, ticks } = upward(figure, floor);
  const step = named ? room / Math.max(1, places.length) : 0;
  const many = figure.series.length;
  const slot = named ? Math.min(34, (step * 0.74) / many) : 0;
  const point = scalePoint<string>().domain(places).range([MARGIN.left + step / 2, right - step / 2]);
  const [low = 0, high = 1] = extent(names.map(Number));
  const line = scaleLinear().domain(low === high ? [low - 1, high + 1] : [low, high]).range([MARGIN.left + 8, right - 8]);
  const x = (value: number | string, at: number): number =>
    named ? (point(String(value)) ?? 0) + (at - (many - 1) / 2) * slot : line(Number(value));
  return {
    width: WIDTH,
    height: HEIGHT,
    left: MARGIN.left,
    right,
    top: MARGIN.top,
    floor,
    x,
    y,
    slot,
    axes: [
      ...ticks.flatMap((tick) => [
        s("line", { x1: MARGIN.left, x2: right, y1: y(tick), y2: y(tick), class: "wl-chart-grid" }),
        s("text", { x: MARGIN.left - 6, y: y(tick) + 3.5, class: "wl-tick", "text-anchor": "end", text: short(tick) }),
      ]),
      ...(named ? places.map((name) => placeName(name, point(name) ?? 0, floor, turned)) : line.ticks(6).map((tick) => levelName(short(tick), line(tick), floor))),
      s("text", { x: 2, y: 10, class: "wl-tick", text: figure.y }),
      s("text", { x: right, y: HEIGHT - 3, class: "wl-tick", "text-anchor": "end", text: figure.x }),
    ],
  };
}

function levelName(text: string, x: number, floor: number): SVGElement {
  return s("text", { x, y: floor + 14, class: "wl-tick", "text-anchor": "middle", text });
}

function placeName(name: string, x: number, floor: number, turned: boolean): SVGElement {
  if (!turned) return levelName(name, x, floor);
  const place = `translate(${x + 3} ${floor + 11}) rotate(-32)`;
  const text = s("text", { transform: place, class: "wl-tick", "text-anchor": "end", text: clipped(name, LONGEST_TICK) });
  text.append(s("title", { text: name }));
  return text;
}

/** The scale of y: over everything drawn, from zero for bars, by powers of ten where it must be. */
function upward(figure: ClaimsFigure, floor: number): { y: (value: number) => number; ticks: number[] } {
  const all = figure.series
    .flatMap(({ y, low, high }) => [...y, ...(low ?? []), ...(high ?? [])])
    .concat(figure.rule)
    .filter((one): one is number => one !== null);
  let [least = 0, most = 1] = extent(all);
  if (figure.mark !== "bar" && least > 0 && most / least > DECADES) {
    const y = scaleLog().domain([least, most]).range([floor, MARGIN.top]).nice();
    const [from = 1, to = 1] = y.domain();
    const every = Math.max(1, Math.ceil(Math.log10(to / from) / 5));
    const first = Math.round(Math.log10(from));
    const ticks = Array.from({ length: 12 }, (_, at) => 10 ** (first + at * every)).filter((tick) => tick <= to * 1.001);
    return { y, ticks };
  }
  if (figure.mark === "bar" || (least > 0 && least < most * 0.3)) [least, most] = [Math.min(0, least), Math.max(0, most)];
  if (least === most) [least, most] = [least - (Math.abs(least) || 1) * 0.5, most + (Math.abs(most) || 1) * 0.5];
  const y = scaleLinear().domain([least, most]).range([floor, MARGIN.top]).nice(5);
  return { y, ticks: y.ticks(5) };
}
