// Colours as the browser computes them, for what style sheets do not reach: the canvas and saved files.

/** The colours of the canvas, read from the style sheet so that both themes live in one place. */
export interface Palette {
  dot: string;
  busy: string;
  residual: string;
  positive: string;
  negative: string;
  heat: string;
  ink: string;
  paper: string;
}

/** `element` is one that has no text: its own colour is changed for a moment, as a variable's value is no colour yet. */
export function readPalette(element: HTMLElement): Palette {
  const of = (name: keyof Palette): string => {
    element.style.color = `var(--wl-${name}, gray)`;
    return colourOf(getComputedStyle(element).color).colour;
  };
  const palette = {
    dot: of("dot"),
    busy: of("busy"),
    residual: of("residual"),
    positive: of("positive"),
    negative: of("negative"),
    heat: of("heat"),
    ink: of("ink"),
    paper: of("paper"),
  };
  element.style.removeProperty("color");
  return palette;
}

/** A colour of a computed style as SVG 1.1 spells it: opaque, and its opacity apart. */
export function colourOf(computed: string): { colour: string; opacity: number } {
  const [red = 0, green = 0, blue = 0, opacity = 1] = (computed.match(/[\d.]+/g) ?? []).map(Number);
  const hex = [red, green, blue].map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");
  return { colour: `#${hex}`, opacity };
}
