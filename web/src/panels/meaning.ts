// "What is this number?": a click on a number, Enter on it, or the key i over it, opens its meaning.
//
// Keyboard: each panel is one tab stop for all its numbers; arrow keys, Home and End go from number
// to number inside it. Numbers inside a button are reached through the button: i opens the first.
import { h } from "../dom.ts";
import type { Scene, SceneMeaning } from "../scene.gen.ts";
import { code } from "./dialogs.ts";

const NUMBER = "data.wl-number[data-name]";
const PANEL = ".wl-panel, .wl-controls, .wl-header, .wl-dialog";
const APART = 8;

/** Make every number under `root` explain itself, until the returned function is called. */
export function explainNumbers(root: HTMLElement, scene: Scene): () => void {
  const meanings = new Meanings(root, (scene.meanings ??= {})); // files of older versions have none
  const ended = new AbortController();
  const { signal } = ended;
  const prepare = (): void => meanings.prepare();
  const [inside, around] = [new MutationObserver(prepare), new MutationObserver(prepare)];
  inside.observe(root, { childList: true, subtree: true, attributeFilter: ["hidden", "open"] });
  around.observe(root, { attributeFilter: ["class"] }); // it says what lies over what
  root.addEventListener("click", (event) => meanings.clicked(event), { capture: true, signal });
  // While the keyboard is nowhere, keys reach the document only.
  const keys: GlobalEventHandlers = root.dataset["host"] === "page" ? document : root;
  keys.addEventListener("keydown", (event) => meanings.keyed(event), { capture: true, signal });
  document.addEventListener("pointerdown", (event) => meanings.left(event), { signal });
  prepare();
  return () => {
    inside.disconnect();
    around.disconnect();
    ended.abort();
  };
}

class Meanings {
  private open: { card: HTMLElement; from: HTMLElement; back: HTMLElement | null } | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly meanings: Record<string, SceneMeaning>,
  ) {}

  /** Tell every new number and screen readers of it, and leave one tab stop per panel. */
  prepare(): void {
    for (const number of this.root.querySelectorAll<HTMLElement>(`${NUMBER}:not([data-asks])`)) {
      const meaning = this.meaningOf(number);
      number.dataset["asks"] = meaning ? "yes" : "no";
      if (!meaning) continue;
      number.title = `${meaning.title}: what is this?`;
      if (number.closest("button, summary, label, .wl-tooltip, [aria-hidden=true]")) continue;
      number.tabIndex = -1;
      number.setAttribute("role", "button");
      number.setAttribute("aria-haspopup", "dialog");
      number.setAttribute("aria-label", `${number.textContent}, ${meaning.title}`);
    }
    for (const panel of this.root.querySelectorAll<HTMLElement>(PANEL)) {
      const stops = stopsOf(panel);
      const kept = stops.find((stop) => stop.tabIndex === 0) ?? stops[0];
      for (const stop of stops) if (stop !== kept) stop.tabIndex = -1;
      if (kept) kept.tabIndex = 0;
    }
    if (this.open && !this.open.from.isConnected) this.close(false);
  }

  clicked(event: MouseEvent): void {
    const target = event.target as Element;
    if (this.open?.card.contains(target)) return;
    const number = target.closest<HTMLElement>(NUMBER);
    if (!number || !this.meaningOf(number)) {
      this.close(false);
      return;
    }
    event.preventDefault(); // the number, not the button that it may stand in
    event.stopPropagation();
    if (this.open?.from === number) this.close(true);
    else this.show(number, number.closest<HTMLElement>("button") ?? number);
  }

  keyed(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = event.target as HTMLElement;
    if (this.open && event.key === "Escape") {
      take(event);
      this.close(true);
    } else if (this.open?.card.contains(target)) event.stopPropagation();
    else if (target.matches(NUMBER)) this.keyedOnNumber(event, target);
    else if (event.key === "i" && !target.matches("input:not([type=checkbox], [type=range], [type=radio]), textarea")) {
      const number = this.nearest(target);
      if (!number) return;
      take(event);
      this.show(number, target.matches("button") ? target : null);
    }
  }

  left(event: Event): void {
    if (this.open && !this.root.contains(event.target as Node)) this.close(false);
  }

  private keyedOnNumber(event: KeyboardEvent, number: HTMLElement): void {
    const stops = stopsOf(number.closest<HTMLElement>(PANEL));
    const at = stops.indexOf(number);
    const last = stops.length - 1;
    const next: Record<string, number> = {
      ArrowRight: Math.min(last, at + 1),
      ArrowDown: Math.min(last, at + 1),
      ArrowLeft: Math.max(0, at - 1),
      ArrowUp: Math.max(0, at - 1),
      Home: 0,
      End: last,
    };
    const to = next[event.key];
    if (to !== undefined) {
      take(event);
      for (const [place, stop] of stops.entries()) stop.tabIndex = place === to ? 0 : -1;
      stops[to]?.focus();
    } else if (event.key === "Enter" || event.key === " " || event.key === "i") {
      take(event);
      this.show(number, number);
    }
  }

  private show(number: HTMLElement, back: HTMLElement | null): void {
    this.close(false);
    const meaning = this.meaningOf(number);
    if (!meaning) return;
    const element = card(number, meaning, () => this.close(true));
    (number.closest("dialog") ?? this.root).append(element);
    place(element, number.getBoundingClientRect());
    this.open = { card: element, from: number, back };
    if (back) element.focus();
  }

  private close(givesBack: boolean): void {
    if (!this.open) return;
    const { card: element, back } = this.open;
    this.open = null;
    const hasFocus = element.contains(document.activeElement);
    element.remove();
    if (givesBack && hasFocus) back?.focus();
  }

  private meaningOf(number: HTMLElement): SceneMeaning | undefined {
    return this.meanings[number.dataset["name"] ?? ""];
  }

  /** The number in the button that has the keyboard, or under the pointer, or else in the tooltip. */
  private nearest(target: HTMLElement): HTMLElement | null {
    const first = (selector: string): HTMLElement | null => this.root.querySelector<HTMLElement>(selector);
    const inside = target.matches("button, summary") ? target.querySelector<HTMLElement>(NUMBER) : null;
    return inside ?? first(`${NUMBER}:hover`) ?? first(`.wl-tooltip:not([hidden]) ${NUMBER}`);
  }
}

/** Numbers that can be focused, of one panel. */
function stopsOf(panel: HTMLElement | null): HTMLElement[] {
  const all = Array.from(panel?.querySelectorAll<HTMLElement>(NUMBER) ?? []);
  return all.filter((number) => number.hasAttribute("tabindex") && number.getClientRects().length > 0);
}

function take(event: Event): void {
  event.preventDefault();
  event.stopPropagation();
}

function card(number: HTMLElement, meaning: SceneMeaning, onClose: () => void): HTMLElement {
  const exact = number.getAttribute("value") ?? "";
  const facts: [string, string | null][] = [
    ["Exact value", exact],
    ["Formula", meaning.formula],
    ["Unit", meaning.unit],
    ["Exactness", meaning.exactness],
    ["Source", meaning.source],
  ];
  const list = h("dl", {});
  for (const [name, text] of facts) if (text) list.append(h("dt", { text: name }), h("dd", { text }));
  const shut = h("button", { type: "button", class: "wl-close", "aria-label": "Close", text: "×", on: { click: onClose } });
  return h(
    "div",
    { class: "wl-meaning", role: "dialog", "aria-label": meaning.title, tabindex: -1 },
    shut,
    h("h4", { text: meaning.title }),
    list,
    meaning.note ? h("p", { class: "wl-hint", text: meaning.note }) : null,
    meaning.cli ? code("Command line", meaning.cli) : null,
    meaning.python ? code("Python", meaning.python) : null,
  );
}

/** Under the number or over it, wherever there is room, inside the window. */
function place(element: HTMLElement, beside: DOMRect): void {
  const { offsetWidth: width, offsetHeight: height } = element;
  const left = Math.max(APART, Math.min(innerWidth - width - APART, beside.left));
  const below = beside.bottom + APART;
  const over = beside.top - APART - height;
  const top = below + height <= innerHeight - APART ? below : Math.max(APART, over);
  element.style.left = `${left}px`;
  element.style.top = `${Math.max(APART, Math.min(top, innerHeight - height - APART))}px`;
}
