// A level to compare with, named where it is drawn.
import { s } from "../../dom.ts";
import type { Frame } from "../frame.ts";

export function drawRule(frame: Frame, level: number | null, name: string | null): SVGElement[] {
  if (level === null) return [];
  const y = frame.y(level);
  const line = s("line", { x1: frame.left, x2: frame.right, y1: y, y2: y, class: "wl-full" });
  const above = y - frame.top > 14;
  return [line, s("text", { x: frame.right, y: above ? y - 4 : y + 12, class: "wl-tick wl-rule-name", "text-anchor": "end", text: name ?? "" })];
}
