// Chooses what the columns are: tokens, words, sentences or turns, those that the Scene has.
import { regroup } from "../actions.ts";
import { h } from "../dom.ts";
import { count } from "../format.ts";
import type { Store } from "../store.ts";

/** Null where there is nothing to choose. */
export function selector(store: Store): HTMLElement | null {
  const { columns: sizes } = store.bounds;
  if (sizes.size < 2) return null;
  const buttons = Array.from(sizes, ([name, size]) =>
    h("button", {
      type: "button",
      text: name,
      title: `${count(size)} ${name} as columns`,
      "aria-pressed": () => String(name === store.choices.columns.value),
      on: { click: () => regroup(store, name) },
    }),
  );
  return h("div", { class: "wl-columns", role: "group", "aria-label": "What the columns are" }, ...buttons);
}
