// The card of the tour: one step at a time beside the lattice, with Back, Next and an end.
import { computed, untracked } from "@preact/signals-core";
import { change, toStep, turnTour } from "../actions.ts";
import { type Records, valueWords } from "../claims/records.ts";
import { marks, wordMark } from "../claims/word.ts";
import { type Child, chip, figure, h, number } from "../dom.ts";
import { follow } from "../effects.ts";
import type { Store } from "../store.ts";
import { type Piece, plainText, type TourStep } from "./pieces.ts";
import { LAST_STEP } from "./steps.ts";

export function tourCard(store: Store, records: Records | null): HTMLElement {
  const { tourStep } = store;
  const step = computed(() => Math.min(LAST_STEP, store.choices.step.value ?? 1));
  /** What is read aloud is said again only where it is something else. */
  const card = computed((): string | null => tourStep.value && `${step.value} ${plainText(tourStep.value.text)}`);
  const title = h("h2", {});
  const body = h("div", { class: "wl-tour-body" });
  const live = h("div", { class: "wl-tour-live", "aria-live": "polite" }, title, body);
  follow(() => {
    const shown = card.value === null ? null : tourStep.peek();
    if (!shown) return;
    title.textContent = shown.title;
    body.replaceChildren(...untracked(() => parts(store, shown, records)));
    live.scrollTop = 0;
  });
  const next = h("button", { type: "button", class: "wl-run wl-tour-next", text: () => (step.value === LAST_STEP ? "Done" : "Next"), on: { click: () => turnTour(store, 1) } });
  const back = h("button", { type: "button", class: "wl-stop", text: "Back", on: { click: () => turnTour(store, -1) } });
  follow(() => {
    if (step.value === 1 && document.activeElement === back) next.focus({ preventScroll: true }); // a disabled button would lose the keyboard
    back.disabled = step.value === 1;
  });
  const dots = Array.from({ length: LAST_STEP }, (_, at) => h("i", { class: () => (at < step.value ? "wl-lit" : "") }));
  const close = h("button", { type: "button", class: "wl-close", "aria-label": "End the tour", title: "End the tour (Esc)", text: "×", on: { click: () => toStep(store, null) } });
  return h(
    "section",
    { class: "wl-panel wl-tour", "aria-label": "Explain, step by step", hidden: () => !store.isTouring.value },
    h(
      "div",
      { class: "wl-tour-head" },
      h("p", { class: "wl-tour-place", text: () => (store.isTouring.value ? `Step ${step.value} of ${LAST_STEP}` : "") }),
      h("div", { class: "wl-tour-dots", "aria-hidden": "true" }, ...dots),
      close,
    ),
    live,
    h("div", { class: "wl-tour-foot" }, back, next, h("span", { class: "wl-hint", text: "← → to go, Esc to end" })),
  );
}

function parts(store: Store, { text, image, choices, run, claims }: TourStep, records: Records | null): HTMLElement[] {
  const live = run && store.live;
  return [
    h("p", { class: "wl-tour-text" }, ...text.map(piece)),
    image && h("p", { class: "wl-tour-image" }, ...image.map(piece)),
    choices ? choiceButtons(store, choices.map(({ name }) => name)) : null,
    live ? h("button", { type: "button", class: "wl-run wl-tour-run", text: "Follow the ways now", on: { click: () => live.onPaths() } }) : null,
    records && verdicts(store, claims, records),
  ].filter((part) => part !== null);
}

/** Which of the step's pictures is painted. */
function choiceButtons({ tourChoice, choices }: Store, names: string[]): HTMLElement {
  const step = choices.step.value ?? 1;
  const chosen = computed(() => (tourChoice.value.step === step ? tourChoice.value.at : 0));
  const buttons = names.map((text, at) =>
    h("button", { type: "button", "aria-pressed": () => String(at === chosen.value), text, on: { click: () => (tourChoice.value = { step, at }) } }),
  );
  return h("div", { class: "wl-columns wl-tour-choices", role: "group", "aria-label": "Order" }, ...buttons);
}

/** What came out where this was tested. */
function verdicts(store: Store, ids: string[], records: Records): HTMLElement | null {
  const items = ids.flatMap((id) => {
    const node = records.node(id);
    if (!node) return [];
    const verdict = records.verdict(id);
    const open = (): void => change(store, { claim: id, tab: "claims", step: null }, "push");
    const link = h("button", { type: "button", class: "wl-why", text: node.title, title: node.text, on: { click: open } });
    const value = verdict && verdict.value !== null ? h("span", { class: "wl-pale", text: valueWords(verdict) }) : null;
    return [h("li", {}, wordMark(verdict?.verdict ?? null), ...(verdict ? marks(verdict) : []), link, value)];
  });
  return items.length > 0 ? h("div", { class: "wl-tour-claims" }, h("h3", { text: "Tested on this model" }), h("ul", {}, ...items)) : null;
}

function piece(part: Piece): Child {
  if (typeof part === "string") return part;
  if ("token" in part) return h("span", { class: "wl-quoted" }, "“", chip(part.token), "”");
  return part.name ? number(part.value, part.shown, part.name) : figure(part.value, part.shown);
}
