// A difference of two runs in words: as a number only where it is more than rounding. Twin of views/precision.py.
import { plain, signed } from "./format.ts";
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
  const after = unit && ` ${unit}`;
  if (!precision || told(value, precision)) return signed(value) + after;
  if (precision.resolution >= precision.floor) return `no change above ${plain(precision.resolution)}${after} (resolution of ${precision.dtype})`;
  return `< ${plain(precision.floor)}${after} (floor)`;
}

/** As changeWords, of what has no sign. */
export function sizeWords(value: number, precision: Known, unit = ""): string {
  return changeWords(value, precision, unit).replace(/^\+/, "");
}

/** What a difference has to exceed, where numbers stand alone. */
export function floorWords(precision: ScenePrecision, unit: string): string {
  return `more than rounding where above ${plain(least(precision))} ${unit} (floor ${plain(precision.floor)}, resolution of ${precision.dtype} ${plain(precision.resolution)})`;
}
