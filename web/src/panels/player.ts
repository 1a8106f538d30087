// Runs an order over the lattice slice by slice: played in some seconds, or scrubbed by hand.
import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals-core";
import { h } from "../dom.ts";
import { follow, whenEnded } from "../effects.ts";
import { counted } from "../format.ts";
import { sliceAfter } from "../overlay.ts";
import type { SceneOrder } from "../scene.gen.ts";
import type { Painting } from "../store.ts";

const WHOLE_MS = 5000;
const CALM_MS = 500; // between pictures where less motion is asked for

/** It never starts by itself. The slider's last place is the whole run, as it is painted at first. */
export function player(order: ReadonlySignal<SceneOrder | null>, painting: Signal<Painting | null>): HTMLElement {
  const isPlaying = signal(false);
  const slice = computed(() => (painting.value?.part === "orders" ? painting.value.slice : 0));
  const words = computed(() => (order.value ? sliceWords(order.value, slice.value) : ""));
  const show = (to: number): void => {
    if (painting.value?.part === "orders") painting.value = { ...painting.value, slice: to };
  };
  const slider = h("input", { type: "range", class: "wl-scrub", min: 0, step: 1, "aria-label": "Slice of the order", "aria-valuetext": () => words.value });
  slider.addEventListener("input", () => {
    isPlaying.value = false;
    show(Number(slider.value));
  });
  const button = h("button", {
    type: "button",
    class: "wl-stop wl-play",
    text: () => (isPlaying.value ? "Pause" : "Play"),
    on: { click: () => (isPlaying.value = !isPlaying.value) },
  });
  follow(() => {
    void order.value; // another one does not go on playing
    isPlaying.value = false;
  });
  follow(() => {
    if (isPlaying.value && order.value) play(order.value, slice.peek(), show, () => (isPlaying.value = false));
  });
  follow(() => {
    slider.max = String(order.value?.n_slices ?? 0); // first: a place beyond it would be cut
    slider.value = String(slice.value);
  });
  return h("div", { class: "wl-player", hidden: () => order.value === null }, button, slider, h("output", { class: "wl-hint wl-slice", text: () => words.value }));
}

/** Show slice after slice, in time with the clock, up to the last or until the effect ends that runs now. */
function play(order: SceneOrder, at: number, show: (slice: number) => void, done: () => void): void {
  const from = at < order.n_slices ? at : 0;
  const began = performance.now() - (WHOLE_MS * from) / order.n_slices;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let shown = -1;
  let last = -Infinity;
  const step = (now: number): void => {
    const slice = sliceAfter((now - began) / WHOLE_MS, order.n_slices);
    const ends = slice === order.n_slices;
    if (slice !== shown && (ends || !calm || now - last >= CALM_MS)) {
      show(slice);
      shown = slice;
      last = now;
    }
    if (ends) done();
    else frame = requestAnimationFrame(step);
  };
  let frame = requestAnimationFrame(step);
  whenEnded(() => cancelAnimationFrame(frame));
}

/** What the slider stands at. */
export function sliceWords(order: SceneOrder, slice: number): string {
  if (slice >= order.n_slices) return `whole run, ${counted(order.n_slices, "slice")}`;
  const blocks = order.slices.flat().filter((at) => at === slice).length;
  return `slice ${slice + 1} of ${order.n_slices}, ${counted(blocks, "block")}`;
}
