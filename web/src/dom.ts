// Small makers of elements. Text always goes through textContent; no markup is ever parsed.

import type { NumberName } from "./names.ts";

type Child = Node | string | null | undefined | false;

interface Attributes {
  class?: string;
  text?: string;
  on?: Partial<{ [K in keyof HTMLElementEventMap]: (event: HTMLElementEventMap[K]) => void }>;
  [name: string]: unknown;
}

/** Make an element; unknown keys become attributes, false and null ones are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on" || value === undefined || value === null || value === false) continue;
    if (name === "text") element.textContent = String(value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [name, listener] of Object.entries(attributes.on ?? {})) {
    element.addEventListener(name, listener as EventListener);
  }
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

/** The same for SVG; its text is the attribute `text`. */
export function s(tag: string, attributes: Record<string, string | number> = {}, ...children: Node[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = String(value);
    else element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/** A token as a chip: isolated from the direction of the text around it, spaces as pale dots (unless it is nothing else). */
export function chip(label: string, extra = ""): HTMLElement {
  const element = h("bdi", { class: `wl-token ${extra}`.trim() });
  if (/^·+$/.test(label)) element.append(label);
  else element.append(...parts(label));
  return element;
}

function* parts(label: string): Generator<Node | string> {
  for (const part of label.split(/(·+)/)) {
    if (part === "") continue;
    yield part.startsWith("·") ? h("span", { class: "wl-space", text: part }) : part;
  }
}

/** A number: what is shown, in `value` exactly what the Scene says, and the name of its meaning. */
export function number(value: number | string, shown: string, name: NumberName, extra = ""): HTMLElement {
  return h("data", { class: `wl-number ${extra}`.trim(), value, "data-name": name, text: shown });
}

/** A number that no meaning is kept for: of a claim, or one that the tour takes from the Scene. */
export function figure(value: number | string, shown: string, extra = ""): HTMLElement {
  return h("data", { class: `wl-number ${extra}`.trim(), value, text: shown });
}

/** The class that colours a signed number. */
export function signClass(value: number): string {
  return value > 0 ? "wl-positive" : value < 0 ? "wl-negative" : "";
}
