// Small makers of elements. Text always goes through textContent; no markup is ever parsed.

import type { Signal } from "@preact/signals-core";
import { follow, whenEnded } from "./effects.ts";
import type { NumberName } from "./names.ts";

export type Child = Node | string | null | undefined | false;

type Listeners = Partial<{ [K in keyof HTMLElementEventMap]: (event: HTMLElementEventMap[K]) => void }>;

interface Attributes {
  class?: string | (() => string);
  text?: string | (() => string);
  /** All that stands inside, made anew when a signal that was read has changed. */
  content?: () => Child[];
  on?: Listeners;
  [name: string]: unknown;
}

/** What a person changes by hand: the attribute says only how it began, the property what it is. */
const BY_HAND = new Set(["value", "checked", "selectedIndex"]);

/** Make an element; false and null attributes are left out, and functions follow the signals that they read. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  { on, content, ...attributes }: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  const followed: [string, () => unknown][] = [];
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") followed.push([name, value as () => unknown]);
    else set(element, name, value);
  }
  for (const [name, listener] of Object.entries(on ?? {})) element.addEventListener(name, listener as EventListener);
  element.append(...children.filter(isShown));
  if (content) follow(() => element.replaceChildren(...content().filter(isShown)));
  for (const [name, value] of followed) {
    if (BY_HAND.has(name)) follow(() => Object.assign(element, { [name]: value() }));
    else follow(() => set(element, name, value()));
  }
  return element;
}

function isShown(child: Child): child is Node | string {
  return Boolean(child);
}

function set(element: HTMLElement, name: string, value: unknown): void {
  if (name === "text") element.textContent = String(value ?? "");
  else if (value === undefined || value === null || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
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

/** A bar of so many percent; `name` is the class of what fills it. */
export function bar(percent: number, name = ""): HTMLElement {
  const filled = h("i", { class: name });
  filled.style.width = `${percent}%`;
  return h("span", { class: "wl-bar", "aria-hidden": "true" }, filled);
}

/** Keeps `value` in a signal while pointer or keyboard is on an element, and no longer than the element stands. */
export function pointing<T>(pointed: Signal<T | null>, value: T): Listeners {
  const enter = (): void => void (pointed.value = value);
  const leave = (): void => {
    if (pointed.peek() === value) pointed.value = null;
  };
  whenEnded(leave);
  return { pointerenter: enter, pointerleave: leave, focus: enter, blur: leave };
}
