// The claims without a lattice: a file of their own, whose state lies in its address.
import { h } from "../dom.ts";
import type { ClaimsPicture } from "../claims.gen.ts";
import { fromFragment, type State, toFragment } from "../state.ts";
import { ClaimsPanel } from "./panel.ts";

export function mountClaims(element: HTMLElement, picture: ClaimsPicture): void {
  const read = (): State => fromFragment(location.hash, { columns: new Map(), nLayers: 0 });
  let state = read();
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const panel = new ClaimsPanel(picture, {
    onOpen: (claim) => change({ claim }, true),
    onGraph: (graph) => change({ graph }, true),
  });
  const turn = (): void => change({ theme: (state.theme ?? (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark" }, false);
  const theme = h("button", { type: "button", class: "wl-round wl-theme", text: "◐", "aria-label": "Light or dark", title: "Light or dark", on: { click: turn } });
  const root = h("div", { class: "wl wl-claims-alone", "data-host": "page" }, panel.element);
  panel.element.querySelector(".wl-claims-head")?.append(theme);

  function change(patch: Partial<State>, push: boolean): void {
    state = { ...state, ...patch };
    const fragment = toFragment(state);
    const address = fragment ? `#${fragment}` : location.pathname + location.search;
    if (push) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    show();
  }

  function show(): void {
    if (state.theme) root.dataset["theme"] = state.theme;
    else delete root.dataset["theme"];
    panel.show(state.claim, state.graph);
  }

  addEventListener("popstate", () => {
    state = read();
    show();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.claim !== null) change({ claim: null }, true);
  });
  element.replaceChildren(root);
  show();
}
