// A difference of two runs in words: as a number only where it is more than rounding. Twin of views/difference_text.py.
import { rough, signed } from "./format.ts";
import type { ScenePrecision } from "./scene.gen.ts";

type Known = ScenePrecision | undefined;

export function least(precision: Known): number {
  return precision ? Math.max(precision.floor, precision.resolution) : 0;
}

/** Whether a difference is more than rounding. */
export function told(value: number, precision: Known): boolean {
  return !precision || Math.abs(value) > least(precision);
}

/** A difference with its sign, or what it is smaller than. */
export function changeWords(value: number, precision: Known, unit = ""): string {
  if (!precision) return signed(value) + after(unit);
  if (told(value, precision)) return `${signed(value)}${after(unit)} (${which(precision)} ${rough(least(precision))})`;
  return underWords(precision, unit);
}

/** What stands in place of a difference that is no more than rounding. */
export function underWords(precision: ScenePrecision, unit = ""): string {
  return `< ${rough(least(precision))}${after(unit)} (${which(precision)})`;
}

/** The larger of both. */
function which(precision: ScenePrecision): string {
  return precision.resolution >= precision.floor ? `resolution of ${precision.dtype}` : "floor";
}

function after(unit: string): string {
  return unit && ` ${unit}`;
}

/** As changeWords, of what has no sign. */
export function sizeWords(value: number, precision: Known, unit = ""): string {
  return changeWords(value, precision, unit).replace(/^\+/, "");
}

/** What a difference has to exceed, where numbers stand alone. */
export function floorWords(precision: ScenePrecision, unit: string): string {
  return `more than rounding where above ${rough(least(precision))} ${unit} (floor ${rough(precision.floor)}, resolution of ${precision.dtype} ${rough(precision.resolution)})`;
}
