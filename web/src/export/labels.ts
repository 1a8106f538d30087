// Names, rings and tinted cones are elements of the page: read where they stand, written as SVG.
import { colourOf } from "../colours.ts";
import { short, tag, xmlText } from "./xml.ts";

export const FONT = "system-ui, sans-serif";
const CORNERS = /^linear-gradient\(to (left|right) (bottom|top), (rgba?\([^)]*\)), (rgba?\([^)]*\))\)/;
const SPREAD = /^(rgba?\([^)]*\)) 0px 0px 0px ([\d.]+)px$/;

/** Widths of text in a font, as this browser would set it. */
export class Measure {
  private readonly context = document.createElement("canvas").getContext("2d");

  of(text: string, font: string): TextMetrics | null {
    if (!this.context) return null;
    this.context.font = font;
    return this.context.measureText(text);
  }

  /** Cut to a width, with an ellipsis where something went. */
  fitted(text: string, font: string, width: number): string {
    const fits = (words: string): boolean => (this.of(words, font)?.width ?? 0) <= width;
    if (fits(text)) return text;
    const chars = Array.from(text);
    let low = 0;
    let high = chars.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (fits(`${chars.slice(0, middle).join("")}…`)) low = middle;
      else high = middle - 1;
    }
    return `${chars.slice(0, low).join("")}…`;
  }
}

interface Turned {
  opacity: number;
  degrees: number;
}

/** Write everything inside a layer of the stage, in the order in which it is painted. */
export class LabelWriter {
  private readonly measure = new Measure();
  private readonly origin: DOMRect;
  private cones = 0;

  constructor(stage: HTMLElement) {
    this.origin = stage.getBoundingClientRect();
  }

  layer(layer: HTMLElement): string {
    return Array.from(layer.children, (child) => this.element(child as HTMLElement, { opacity: 1, degrees: 0 })).join("");
  }

  private element(element: HTMLElement, above: Turned): string {
    const style = getComputedStyle(element);
    if (style.display === "none" || style.visibility === "hidden") return "";
    const here = { opacity: above.opacity * Number(style.opacity), degrees: above.degrees + degreesOf(style.transform) };
    const boxes = here.degrees === 0 ? this.boxes(element, style, here.opacity) : "";
    if (style.textOverflow === "ellipsis" && element.scrollWidth > element.clientWidth) {
      const text = this.measure.fitted(element.textContent ?? "", fontOf(style), element.clientWidth);
      return boxes + this.text(text, element.getBoundingClientRect(), style, here);
    }
    const inside = Array.from(element.childNodes, (node) => {
      if (node instanceof HTMLElement) return this.element(node, here);
      if (!node.textContent) return "";
      const range = document.createRange();
      range.selectNodeContents(node);
      return this.text(node.textContent, range.getBoundingClientRect(), style, here);
    });
    return boxes + inside.join("");
  }

  /** A text is set around the middle of where it stands, so that another font shifts it little. */
  private text(text: string, box: DOMRect, style: CSSStyleDeclaration, { opacity, degrees }: Turned): string {
    const { colour, opacity: own } = colourOf(style.color);
    const metrics = this.measure.of(text, fontOf(style));
    const down = metrics ? (metrics.fontBoundingBoxAscent - metrics.fontBoundingBoxDescent) / 2 : 0;
    const x = box.left + box.width / 2 - this.origin.left;
    const y = box.top + box.height / 2 - this.origin.top;
    const turn = degrees === 0 ? "" : ` rotate(${short(degrees)})`;
    return tag(
      "text",
      {
        transform: `translate(${short(x)} ${short(y)})${turn}`,
        y: down,
        "text-anchor": "middle",
        "font-size": Number.parseFloat(style.fontSize),
        "font-weight": style.fontWeight === "400" ? undefined : style.fontWeight,
        direction: style.direction === "rtl" ? "rtl" : undefined,
        fill: colour,
        "fill-opacity": opacity * own < 1 ? opacity * own : undefined,
      },
      xmlText(text),
    );
  }

  /** Ground, border, halo and stem of an element. */
  private boxes(element: HTMLElement, style: CSSStyleDeclaration, opacity: number): string {
    const box = element.getBoundingClientRect();
    const line = Number.parseFloat(style.borderTopWidth) || 0;
    const place = { x: box.left - this.origin.left, y: box.top - this.origin.top, width: box.width, height: box.height };
    const round = Math.min(box.width / 2, box.height / 2, radiusOf(style, box));
    const ground = style.backgroundColor;
    const shade = this.shade(style.backgroundImage, place, round);
    const halo = SPREAD.exec(style.boxShadow);
    return [
      halo ? outline(inset(place, -Number(halo[2]) / 2), round, halo[1] ?? "", Number(halo[2]), opacity) : "",
      shade,
      colourOf(ground).opacity > 0 && ground !== "transparent" ? filled(place, round, ground, opacity) : "",
      line > 0 ? outline(inset(place, line / 2), round - line / 2, style.borderTopColor, line, opacity) : "",
      this.stem(element, place, line, opacity),
    ].join("");
  }

  private shade(image: string, place: Place, round: number): string {
    const found = CORNERS.exec(image);
    if (!found) return "";
    const [, side, end, from = "", to = ""] = found;
    this.cones += 1;
    const id = `wl-cone-${this.cones}`;
    const stop = (offset: number, computed: string): string => {
      const { colour, opacity } = colourOf(computed);
      return tag("stop", { offset, "stop-color": colour, "stop-opacity": opacity });
    };
    const left = side === "left";
    const up = end === "top";
    const ends = { x1: left ? 1 : 0, x2: left ? 0 : 1, y1: up ? 1 : 0, y2: up ? 0 : 1 };
    return (
      tag("linearGradient", { id, ...ends }, stop(0, from) + stop(1, to)) +
      tag("rect", { ...place, rx: round, fill: `url(#${id})` })
    );
  }

  /** What a style sheet puts after an element, if it is a small box. */
  private stem(element: HTMLElement, place: Place, line: number, opacity: number): string {
    const style = getComputedStyle(element, "::after");
    if (style.content === "none" || style.position !== "absolute") return "";
    const of = (length: string): number => Number.parseFloat(length) || 0;
    const x = place.x + line + of(style.left) + of(style.marginLeft);
    const y = place.y + line + of(style.top);
    return filled({ x, y, width: of(style.width), height: of(style.height) }, 0, style.backgroundColor, opacity);
  }
}

interface Place {
  x: number;
  y: number;
  width: number;
  height: number;
}

function inset({ x, y, width, height }: Place, by: number): Place {
  return { x: x + by, y: y + by, width: width - 2 * by, height: height - 2 * by };
}

function filled(place: Place, rx: number, computed: string, opacity: number): string {
  const { colour, opacity: own } = colourOf(computed);
  const seen = own * opacity;
  return tag("rect", { ...place, rx: rx || undefined, fill: colour, "fill-opacity": seen < 1 ? seen : undefined });
}

function outline(place: Place, rx: number, computed: string, width: number, opacity: number): string {
  const { colour, opacity: own } = colourOf(computed);
  const seen = own * opacity;
  return tag("rect", {
    ...place,
    rx,
    fill: "none",
    stroke: colour,
    "stroke-width": width,
    "stroke-opacity": seen < 1 ? seen : undefined,
  });
}

function radiusOf(style: CSSStyleDeclaration, box: DOMRect): number {
  const radius = style.borderTopLeftRadius;
  const size = Number.parseFloat(radius) || 0;
  return radius.endsWith("%") ? (size / 100) * Math.min(box.width, box.height) : size;
}

function fontOf(style: CSSStyleDeclaration): string {
  return `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
}

/** How far a computed transform turns, in degrees. */
export function degreesOf(transform: string): number {
  const [a = 1, b = 0] = (transform.match(/-?[\d.]+(?:e-?\d+)?/g) ?? []).map(Number);
  return Math.round((Math.atan2(b, a) * 180) / Math.PI * 1000) / 1000;
}
