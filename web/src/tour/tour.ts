// The card of the tour: one step at a time beside the lattice, with Back, Next and an end.
import type { Records } from "../claims/records.ts";
import { valueWords } from "../claims/records.ts";
import { marks, wordMark } from "../claims/word.ts";
import { chip, figure, h, number } from "../dom.ts";
import type { Heat } from "../overlay.ts";
import { type Given, type Piece, plainText, type TourStep } from "./pieces.ts";
import { STEPS } from "./steps.ts";

export const LAST_STEP = STEPS.length;

export interface TourEvents {
  /** Another step, or null: the end. */
  onStep(step: number | null): void;
  onHeat(heat: Heat): void;
  onClaim(id: string): void;
  /** Follow the paths of this text; left out where nothing can be run. */
  onPaths?: (() => void) | undefined;
}

export class Tour {
  readonly element: HTMLElement;
  private readonly place = h("p", { class: "wl-tour-place" });
  private readonly title = h("h2", {});
  private readonly body = h("div", { class: "wl-tour-body" });
  private readonly live = h("div", { class: "wl-tour-live", "aria-live": "polite" }, this.title, this.body);
  private readonly dots: HTMLElement[] = STEPS.map(() => h("i", {}));
  private readonly back: HTMLButtonElement;
  private readonly next: HTMLButtonElement;
  private step = 1;
  private drawn = "";

  constructor(private readonly events: TourEvents) {
    const button = (text: string, name: string, by: number): HTMLButtonElement =>
      h("button", { type: "button", class: name, text, on: { click: () => this.turn(by) } });
    this.back = button("Back", "wl-stop", -1);
    this.next = button("Next", "wl-run", 1);
    const close = h("button", { type: "button", class: "wl-close", "aria-label": "End the tour", title: "End the tour (Esc)", text: "×", on: { click: () => events.onStep(null) } });
    this.element = h(
      "section",
      { class: "wl-panel wl-tour", "aria-label": "Explain, step by step", hidden: true },
      h("div", { class: "wl-tour-head" }, this.place, h("div", { class: "wl-tour-dots", "aria-hidden": "true" }, ...this.dots), close),
      this.live,
      h("div", { class: "wl-tour-foot" }, this.back, this.next, h("span", { class: "wl-hint", text: "← → to go, Esc to end" })),
    );
  }

  /** To the next step or back; the last one ends the tour. */
  turn(by: number): void {
    const to = this.step + by;
    if (to > LAST_STEP) this.events.onStep(null);
    else if (to >= 1) this.events.onStep(to);
  }

  /** Show a step, and give what it puts into the light; null hides the tour. */
  show(step: number | null, given: Given, records: Records | null): TourStep | null {
    this.element.hidden = step === null;
    if (step === null) {
      this.drawn = "";
      return null;
    }
    this.step = Math.min(LAST_STEP, step);
    const made = STEPS[this.step - 1]!(given);
    const key = `${this.step} ${plainText(made.text)}`;
    if (key === this.drawn) return made; // what is read aloud is not said again
    this.drawn = key;
    this.place.textContent = `Step ${this.step} of ${LAST_STEP}`;
    this.dots.forEach((dot, at) => dot.classList.toggle("wl-lit", at < this.step));
    this.title.textContent = made.title;
    this.body.replaceChildren(...this.parts(made, records));
    this.live.scrollTop = 0;
    if (this.step === 1 && document.activeElement === this.back) this.focus(); // a disabled button would lose the keyboard
    this.back.disabled = this.step === 1;
    this.next.textContent = this.step === LAST_STEP ? "Done" : "Next";
    return made;
  }

  /** Give the keyboard to the tour. */
  focus(): void {
    this.next.focus({ preventScroll: true });
  }

  private parts(made: TourStep, records: Records | null): HTMLElement[] {
    const found = [
      h("p", { class: "wl-tour-text" }, ...made.text.map(piece)),
      made.image && h("p", { class: "wl-tour-image" }, ...made.image.map(piece)),
      made.choices && this.choices(made.choices),
      made.run && this.events.onPaths ? h("button", { type: "button", class: "wl-run wl-tour-run", text: "Follow the ways now", on: { click: () => this.events.onPaths?.() } }) : null,
      records && this.verdicts(made.claims, records),
    ];
    return found.filter((one): one is HTMLElement => Boolean(one));
  }

  private choices(choices: { name: string; heat: Heat }[]): HTMLElement {
    const buttons = choices.map(({ name, heat }, at) =>
      h("button", {
        type: "button",
        "aria-pressed": String(at === 0),
        text: name,
        on: {
          click: (event) => {
            for (const one of buttons) one.setAttribute("aria-pressed", String(one === event.currentTarget));
            this.events.onHeat(heat);
          },
        },
      }),
    );
    return h("div", { class: "wl-columns wl-tour-choices", role: "group", "aria-label": "Order" }, ...buttons);
  }

  /** What came out where this was tested. */
  private verdicts(ids: string[], records: Records): HTMLElement | null {
    const items = ids.flatMap((id) => {
      const node = records.node(id);
      if (!node) return [];
      const verdict = records.verdict(id);
      const link = h("button", { type: "button", class: "wl-why", text: node.title, title: node.text, on: { click: () => this.events.onClaim(id) } });
      const value = verdict && verdict.value !== null ? h("span", { class: "wl-pale", text: valueWords(verdict) }) : null;
      return [h("li", {}, wordMark(verdict?.verdict ?? null), ...(verdict ? marks(verdict) : []), link, value)];
    });
    return items.length > 0 ? h("div", { class: "wl-tour-claims" }, h("h3", { text: "Tested on this model" }), h("ul", {}, ...items)) : null;
  }
}

function piece(one: Piece): Node | string {
  if (typeof one === "string") return one;
  if ("token" in one) return h("span", { class: "wl-quoted" }, "“", chip(one.token), "”");
  return one.name ? number(one.value, one.shown, one.name) : figure(one.value, one.shown);
}
