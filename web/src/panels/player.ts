// Runs an order over the lattice slice by slice: played in some seconds, or scrubbed by hand.
import { h } from "../dom.ts";
import { counted } from "../format.ts";
import { type Heat, orderHeat, orderHeatAt, sliceAfter } from "../overlay.ts";
import type { SceneOrder } from "../scene.gen.ts";

const WHOLE_MS = 5000;
const CALM_MS = 500; // between pictures where less motion is asked for

/** It never starts by itself. The slider's last place is the whole run, as it is painted at first. */
export class Player {
  readonly element: HTMLElement;
  private readonly button: HTMLButtonElement;
  private readonly slider: HTMLInputElement;
  private readonly says = h("output", { class: "wl-hint wl-slice" });
  private order: SceneOrder | null = null;
  private playing = false;
  private turn = 0;

  /** `paint` is told whether one slice is shown, or the whole run. */
  constructor(private readonly paint: (heat: Heat, played: boolean) => void) {
    this.button = h("button", {
      type: "button",
      class: "wl-stop wl-play",
      on: { click: () => (this.playing ? this.pause() : this.play()) },
    });
    this.slider = h("input", {
      type: "range",
      class: "wl-scrub",
      min: 0,
      step: 1,
      "aria-label": "Slice of the order",
      on: {
        input: () => {
          this.pause();
          this.show(Number(this.slider.value));
        },
      },
    });
    this.element = h("div", { class: "wl-player" }, this.button, this.slider, this.says);
    this.take(null);
  }

  /** An order at its end, or none: then there is nothing to play. */
  take(order: SceneOrder | null): void {
    this.pause();
    this.order = order;
    this.element.hidden = order === null;
    if (!order) return;
    this.slider.max = String(order.n_slices);
    this.tell(order.n_slices);
  }

  private play(): void {
    const order = this.order;
    if (!order) return;
    const at = Number(this.slider.value);
    const from = at < order.n_slices ? at : 0;
    const began = performance.now() - (WHOLE_MS * from) / order.n_slices;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let shown = -1;
    let last = -Infinity;
    this.name(true);
    const mine = (this.turn += 1);
    const step = (now: number): void => {
      if (!this.playing || this.turn !== mine || !this.element.isConnected) return;
      const slice = sliceAfter((now - began) / WHOLE_MS, order.n_slices);
      const ends = slice === order.n_slices;
      if (slice !== shown && (ends || !calm || now - last >= CALM_MS)) {
        this.show(slice);
        shown = slice;
        last = now;
      }
      if (ends) this.pause();
      else requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  private pause(): void {
    this.name(false);
  }

  private name(playing: boolean): void {
    this.playing = playing;
    this.button.textContent = playing ? "Pause" : "Play";
  }

  private show(slice: number): void {
    if (!this.order) return;
    const played = slice < this.order.n_slices;
    this.paint(played ? orderHeatAt(this.order, slice) : orderHeat(this.order), played);
    this.tell(slice);
  }

  private tell(slice: number): void {
    if (!this.order) return;
    this.slider.value = String(slice);
    const words = sliceWords(this.order, slice);
    this.slider.setAttribute("aria-valuetext", words);
    this.says.textContent = words;
  }
}

/** What the slider stands at. */
export function sliceWords(order: SceneOrder, slice: number): string {
  if (slice >= order.n_slices) return `whole run, ${counted(order.n_slices, "slice")}`;
  const blocks = order.slices.flat().filter((at) => at === slice).length;
  return `slice ${slice + 1} of ${order.n_slices}, ${counted(blocks, "block")}`;
}
