// A verdict as a shape and a word: told apart without colour, and by colour beside.
import { h, s } from "../dom.ts";
import type { ClaimsVerdict } from "../claims.gen.ts";
import type { Word } from "./records.ts";

const SIZE = 14;

/** The shape of each verdict in a square of 14: full, half, crossed, empty, a triangle, a line. */
const SHAPES: Record<Word, () => SVGElement[]> = {
  supported: () => [s("circle", { cx: 7, cy: 7, r: 6, class: "wl-fill" }), s("path", { d: "M4 7.2l2.2 2.2L10 5.2", class: "wl-notch" })],
  qualified: () => [s("circle", { cx: 7, cy: 7, r: 5.2, class: "wl-rim" }), s("path", { d: "M7 1.8a5.2 5.2 0 0 1 0 10.4z", class: "wl-fill" })],
  refuted: () => [s("rect", { x: 1.4, y: 1.4, width: 11.2, height: 11.2, rx: 1.5, class: "wl-fill" }), s("path", { d: "M4.4 4.4l5.2 5.2M9.6 4.4l-5.2 5.2", class: "wl-notch" })],
  inconclusive: () => [s("circle", { cx: 7, cy: 7, r: 5.2, class: "wl-rim", "stroke-dasharray": "2.4 2.1" })],
  measured: () => [s("path", { d: "M7 1.8L12.6 12H1.4z", class: "wl-fill" })],
  "not testable here": () => [s("path", { d: "M2 7h10", class: "wl-rim" })],
};

export function wordClass(word: Word | null): string {
  return word === null ? "wl-word-none" : `wl-word-${word.split(" ")[0]}`;
}

/** The shape alone, for a drawing; null: not tested yet. */
export function shape(word: Word | null): SVGElement[] {
  return word === null ? [s("circle", { cx: 7, cy: 7, r: 1.6, class: "wl-fill" })] : SHAPES[word]();
}

export function wordMark(word: Word | null): HTMLElement {
  const drawing = s("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "wl-shape", "aria-hidden": "true" }, ...shape(word));
  return h("span", { class: `wl-word ${wordClass(word)}` }, drawing, h("span", { text: word ?? "not tested yet" }));
}

/** Whether it is of a quick run, and whether it still holds. */
export function marks({ quick, stale }: Pick<ClaimsVerdict, "quick" | "stale">): HTMLElement[] {
  return [
    quick && h("span", { class: "wl-flag", text: "quick", title: "A quick run, of fewer items than the full one" }),
    stale !== null && h("span", { class: "wl-flag wl-stale", text: "stale", title: stale }),
  ].filter((one) => one !== false);
}
