// The names of the columns: tokens below the embedding, turned where there is little room.
import { select } from "d3-selection";
import { chip, h } from "../dom.ts";
import { clipped } from "../format.ts";
import { cullLabels, MARGIN, xOf, yOf } from "../layout.ts";
import type { View } from "../view.ts";

const FLAT_FROM = 58;
const TURNED_APART = 17;
const LONGEST_TURNED = 13;

function wishes(view: View): number[] {
  const asked: number[] = [];
  if (view.focus) asked.push(view.focus.pos);
  if (view.edge) asked.push(view.edge.dst, view.edge.src);
  if (view.fixed) asked.push(view.fixed.pos);
  asked.push(view.layout.nTokens - 1, 0);
  for (const edge of view.selection.edges.slice(0, 200)) asked.push(edge.dst, edge.src);
  return asked;
}

export function placeColumns(over: HTMLElement, view: View): void {
  const { layout, zoom, labels } = view;
  const gap = layout.gap * zoom.k;
  const flat = gap >= FLAT_FROM;
  const x = (pos: number): number => xOf(layout, zoom, pos);
  const inside = (pos: number): boolean => x(pos) > MARGIN.left - 24 && x(pos) < layout.width - 4;
  const shown = cullLabels(wishes(view), view.columns, flat ? 1 : TURNED_APART, x).filter(inside);
  const y = yOf(layout, 0) + 12;
  // Panning moves the strip, not the names on it: they need not be painted again.
  const strip = over.querySelector<HTMLElement>(".wl-strip") ?? over.appendChild(h("div", { class: "wl-strip" }));
  strip.style.transform = `translateX(${zoom.shift}px)`;
  const on = (pos: number): number => xOf(layout, { k: zoom.k, shift: 0 }, pos); // to the last bit the same
  select(strip)
    .selectAll<HTMLDivElement, number>(".wl-column")
    .data(shown, (pos) => pos)
    .join((enter) => enter.append("div").attr("class", "wl-column"))
    .classed("wl-turned", !flat)
    .classed("wl-lit", (pos) => pos === view.focus?.pos || pos === view.edge?.src || pos === view.edge?.dst)
    .classed("wl-special", (pos) => view.scene.tokens[pos]?.special ?? false)
    .style("max-width", flat ? `${gap - 6}px` : "none")
    .style("transform", (pos) =>
      flat
        ? `translate(${on(pos)}px, ${y}px) translateX(-50%)`
        : `translate(${on(pos)}px, ${y - 2}px) rotate(-58deg) translate(-100%, -50%)`,
    )
    .each(function fill(pos) {
      const label = labels[pos] ?? "";
      const text = flat ? label : clipped(label, LONGEST_TURNED);
      if (this.dataset["label"] === text) return;
      this.dataset["label"] = text;
      this.title = `${label}, position ${pos}`;
      this.replaceChildren(chip(text));
    });
}
