// The number with its interval on one line, over what was said beforehand to support or refute.
import { extent } from "d3-array";
import { scaleLinear } from "d3-scale";
import { h, s } from "../../dom.ts";
import { plain } from "../../format.ts";
import type { ClaimsVerdict } from "../../claims.gen.ts";
import { comparison, comparisonWords, short, valueWords } from "../records.ts";

const WIDTH = 380;
const EDGE = 14;
const LINE = 26;
const HEIGHT = 46;
const LEAST_APART = 64; // pixels between the names of two levels

/** Null where there is no number, or nothing was said beforehand. */
export function strip(verdict: ClaimsVerdict): HTMLElement | null {
  const sides = [
    { kind: "support", name: "supported", said: verdict.support, found: comparison(verdict.support) },
    { kind: "refute", name: "refuted", said: verdict.refute, found: comparison(verdict.refute) },
  ];
  const levels = [...new Set(sides.flatMap(({ found }) => (found ? [found.level] : [])))].sort((one, other) => one - other);
  if (verdict.value === null || levels.length === 0) return null;
  const [from = 0, to = 1] = extent([verdict.value, verdict.low ?? verdict.value, verdict.high ?? verdict.value, ...levels]);
  const pad = (to - from || Math.abs(to) || 1) * 0.18;
  const x = scaleLinear().domain([from - pad, to + pad]).range([EDGE, WIDTH - EDGE]);
  const zone = ({ kind, found }: (typeof sides)[number]): SVGElement[] => {
    if (!found) return [];
    const up = found.sign.startsWith(">");
    const [left, right] = up ? [x(found.level), WIDTH - EDGE] : [EDGE, x(found.level)];
    if (!/^[<>]/.test(found.sign)) return [s("rect", { x: x(found.level) - 2, y: LINE - 7, width: 4, height: 14, class: `wl-zone-${kind}` })];
    return [s("rect", { x: left, y: LINE - 7, width: Math.max(0, right - left), height: 14, class: `wl-zone-${kind}` })];
  };
  const [low, high] = [x(verdict.low ?? from - pad), x(verdict.high ?? to + pad)];
  const words = sides.map(({ name, said }) => `${name} ${comparisonWords(said ?? "")}`);
  let named = -Infinity;
  const drawing = s(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "wl-strip-chart", role: "img", "aria-label": `${valueWords(verdict)}; ${words.join("; ")}` },
    ...sides.flatMap(zone),
    ...levels.flatMap((level) => {
      const tick = s("line", { x1: x(level), x2: x(level), y1: LINE - 11, y2: LINE + 11, class: "wl-level" });
      const fits = x(level) - named >= LEAST_APART;
      if (!fits) return [tick];
      named = x(level);
      const near = x(level) < 40 ? "start" : x(level) > WIDTH - 40 ? "end" : "middle";
      return [tick, s("text", { x: x(level), y: HEIGHT - 2, class: "wl-tick", "text-anchor": near, text: short(level) })];
    }),
    s("path", { d: `M${low} ${LINE}H${high}M${low} ${LINE - 5}v10M${high} ${LINE - 5}v10`, class: "wl-reach" }),
    s("circle", { cx: x(verdict.value), cy: LINE, r: 5, class: "wl-here" }),
    s("text", { x: Math.max(30, Math.min(WIDTH - 30, x(verdict.value))), y: 11, class: "wl-tick wl-tick-strong", "text-anchor": "middle", text: plain(verdict.value) }),
  );
  const box = h("div", { class: "wl-strip-box" });
  box.append(drawing, h("p", { class: "wl-zone-names" }, ...sides.flatMap(({ kind, name, found }, at) => (found ? [h("span", { class: `wl-of-${kind}` }, h("i", {}), words[at] ?? name)] : []))));
  return box;
}
