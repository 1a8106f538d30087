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
  const meanings: Record<string, SceneMeaning> = (scene.meanings ??= {}); // files of older versions have none
  let open: { card: HTMLElement; from: HTMLElement; back: HTMLElement | null } | null = null;

  const meaningOf = (number: HTMLElement): SceneMeaning | undefined => meanings[number.dataset["name"] ?? ""];

  function show(number: HTMLElement, back: HTMLElement | null): void {
    close(false);
    const meaning = meaningOf(number);
    if (!meaning) return;
    const element = card(number, meaning, () => close(true));
    (number.closest("dialog") ?? root).append(element);
    place(element, number.getBoundingClientRect());
    open = { card: element, from: number, back };
    if (back) element.focus();
  }

  function close(giveBack: boolean): void {
    if (!open) return;
    const { card: element, back } = open;
    open = null;
    const held = element.contains(document.activeElement);
    element.remove();
    if (giveBack && held) back?.focus();
  }

  function clicked(event: MouseEvent): void {
    const target = event.target as Element;
    if (open?.card.contains(target)) return;
    const number = target.closest<HTMLElement>(NUMBER);
    if (!number || !meaningOf(number)) {
      close(false);
      return;
    }
    event.preventDefault(); // the number, not the button that it may stand in
    event.stopPropagation();
    if (open?.from === number) close(true);
    else show(number, number.closest<HTMLElement>("button") ?? number);
  }

  function keyed(event: KeyboardEvent): void {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = event.target as HTMLElement;
    if (open && event.key === "Escape") {
      take(event);
      close(true);
    } else if (open?.card.contains(target)) {
      event.stopPropagation();
    } else if (target.matches(NUMBER)) onNumber(event, target);
    else if (event.key === "i" && !target.matches("input:not([type=checkbox], [type=range], [type=radio]), textarea")) {
      const number = inside(target) ?? hovered() ?? pointed();
      if (!number) return;
      take(event);
      show(number, target.matches("button") ? target : null);
    }
  }

  function onNumber(event: KeyboardEvent, number: HTMLElement): void {
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
      show(number, number);
    }
  }

  const inside = (target: HTMLElement): HTMLElement | null =>
    target.matches("button, summary") ? target.querySelector<HTMLElement>(NUMBER) : null;
  const hovered = (): HTMLElement | null => root.querySelector<HTMLElement>(`${NUMBER}:hover`);
  const pointed = (): HTMLElement | null => root.querySelector<HTMLElement>(`.wl-tooltip:not([hidden]) ${NUMBER}`);

  /** Numbers that can be focused, of one panel. */
  function stopsOf(panel: HTMLElement | null): HTMLElement[] {
    const all = Array.from(panel?.querySelectorAll<HTMLElement>(NUMBER) ?? []);
    return all.filter((number) => number.hasAttribute("tabindex") && number.getClientRects().length > 0);
  }

  /** Tell every new number and screen readers of it, and leave one tab stop per panel. */
  function prepare(): void {
    for (const number of root.querySelectorAll<HTMLElement>(`${NUMBER}:not([data-asks])`)) {
      const meaning = meaningOf(number);
      number.dataset["asks"] = meaning ? "yes" : "no";
      if (!meaning) continue;
      number.title = `${meaning.title}: what is this?`;
      if (number.closest("button, summary, label, .wl-tooltip, [aria-hidden=true]")) continue;
      number.tabIndex = -1;
      number.setAttribute("role", "button");
      number.setAttribute("aria-haspopup", "dialog");
      number.setAttribute("aria-label", `${number.textContent}, ${meaning.title}`);
    }
    for (const panel of root.querySelectorAll<HTMLElement>(PANEL)) {
      const stops = stopsOf(panel);
      const kept = stops.find((stop) => stop.tabIndex === 0) ?? stops[0];
      for (const stop of stops) if (stop !== kept) stop.tabIndex = -1;
      if (kept) kept.tabIndex = 0;
    }
    if (open && !open.from.isConnected) close(false);
  }

  const left = (event: Event): void => {
    if (open && !root.contains(event.target as Node)) close(false);
  };
  const observer = new MutationObserver(prepare);
  observer.observe(root, { childList: true, subtree: true });
  root.addEventListener("toggle", prepare, true);
  root.addEventListener("click", clicked, true);
  // While the keyboard is nowhere, keys reach the document only.
  const keys = root.dataset["host"] === "page" ? document : root;
  keys.addEventListener("keydown", keyed as EventListener, true);
  document.addEventListener("pointerdown", left);
  prepare();
  return () => {
    observer.disconnect();
    keys.removeEventListener("keydown", keyed as EventListener, true);
    document.removeEventListener("pointerdown", left);
  };
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
