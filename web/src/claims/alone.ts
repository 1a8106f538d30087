// The claims without a lattice: a file of their own, whose state lies in its address.
import { h } from "../dom.ts";
import type { ClaimsPicture } from "../claims.gen.ts";
import { choicesOf, choose, darkOf, fromFragment, note, type State, stateOf, toFragment } from "../state.ts";
import { claimsPanel } from "./panel.ts";
import { Records } from "./records.ts";

export function mountClaims(element: HTMLElement, picture: ClaimsPicture): void {
  const addressed = (): State => fromFragment(location.hash, { columns: new Map(), nLayers: 0 });
  const choices = choicesOf(addressed());
  const isDark = darkOf(choices.theme);
  const change = (patch: Partial<State>, how: "push" | "replace"): void => {
    choose(choices, patch);
    note(toFragment(stateOf(choices)), how);
  };
  const theme = h("button", {
    type: "button",
    class: "wl-round wl-theme",
    text: "◐",
    "aria-label": "Light or dark",
    title: "Light or dark",
    on: { click: () => change({ theme: isDark.value ? "light" : "dark" }, "replace") },
  });
  const events = {
    onOpen: (claim: string | null) => change({ claim }, "push"),
    onGraph: (graph: boolean) => change({ graph }, "push"),
  };
  const panel = claimsPanel(new Records(picture), choices, events, theme);
  addEventListener("popstate", () => choose(choices, addressed()));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && choices.claim.value !== null) change({ claim: null }, "push");
  });
  element.replaceChildren(h("div", { class: "wl wl-claims-alone", "data-host": "page", "data-theme": () => choices.theme.value }, panel));
}
