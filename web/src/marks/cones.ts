// The light cones of the node in the light: what could reach it, and what it can reach.
import { select } from "d3-selection";
import { MARGIN, xOf, yOf } from "../layout.ts";
import type { View } from "../view.ts";

interface Cone {
  name: "past" | "future";
  words: string;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

function conesOf(view: View): Cone[] {
  const { layout, zoom, focus } = view;
  if (!focus) return [];
  const x = xOf(layout, zoom, focus.pos);
  const y = yOf(layout, focus.layer);
  const margin = Math.min(14, Math.max(3, (layout.gap * zoom.k) / 2));
  const first = Math.max(MARGIN.left - 20, xOf(layout, zoom, 0) - margin);
  const last = Math.min(layout.width, xOf(layout, zoom, layout.nTokens - 1) + margin);
  const cones: Cone[] = [
    {
      name: "past",
      words: "past: what could reach it",
      left: first,
      right: x + margin,
      top: y,
      bottom: yOf(layout, 0) + 5,
    },
    {
      name: "future",
      words: "future: what it can reach",
      left: Math.max(MARGIN.left - 20, x - margin),
      right: last,
      top: yOf(layout, layout.nLayers) - 5,
      bottom: y,
    },
  ];
  return cones.filter((cone) => cone.right > cone.left && cone.bottom - cone.top > 6);
}

export function placeCones(under: HTMLElement, over: HTMLElement, view: View): void {
  const cones = conesOf(view);
  select(under)
    .selectAll<HTMLDivElement, Cone>(".wl-cone")
    .data(cones, (cone) => cone.name)
    .join((enter) => enter.append("div").attr("class", (cone) => `wl-cone wl-cone-${cone.name}`))
    .style("left", (cone) => `${cone.left}px`)
    .style("top", (cone) => `${cone.top}px`)
    .style("width", (cone) => `${cone.right - cone.left}px`)
    .style("height", (cone) => `${cone.bottom - cone.top}px`);
  select(over)
    .selectAll<HTMLDivElement, Cone>(".wl-cone-name")
    .data(cones.filter(hasRoom), (cone) => cone.name)
    .join((enter) => enter.append("div").attr("class", "wl-cone-name").text((cone) => cone.words))
    .style("transform", (cone) =>
      cone.name === "past"
        ? `translate(${cone.left + 7}px, ${cone.bottom - 7}px) translateY(-100%)`
        : `translate(${cone.right - 7}px, ${cone.top + 7}px) translateX(-100%)`,
    );
}

function hasRoom(cone: Cone): boolean {
  return cone.right - cone.left > 190 && cone.bottom - cone.top > 40;
}
