// Tabs: one panel at a time where they don't all fit; arrow keys go from tab to tab.
import { computed } from "@preact/signals-core";
import { openTab } from "../actions.ts";
import { type Child, h } from "../dom.ts";
import type { Store } from "../store.ts";

export interface Tab {
  name: string;
  title: string;
  content: () => Child[];
}

export function tabs(store: Store, list: Tab[]): HTMLElement {
  /** The tab there is of the name that was chosen, else the first. */
  const open = computed(() => list.find(({ name }) => name === store.choices.tab.value) ?? list[0]);
  const buttons = list.map((tab, at) =>
    h("button", {
      type: "button",
      role: "tab",
      id: `wl-tab-${tab.name}`,
      "aria-controls": `wl-panel-${tab.name}`,
      "aria-selected": () => String(tab === open.value),
      tabindex: () => (tab === open.value ? 0 : -1),
      text: tab.title,
      on: { click: () => openTab(store, tab.name), keydown: (event) => turned(event, at) },
    }),
  );
  const panels = list.map((tab) =>
    h("div", {
      class: "wl-tabpanel",
      id: `wl-panel-${tab.name}`,
      role: "tabpanel",
      "aria-labelledby": `wl-tab-${tab.name}`,
      tabindex: 0,
      hidden: () => tab !== open.value,
      content: tab.content,
    }),
  );

  function turned(event: KeyboardEvent, at: number): void {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const to = (at + by + list.length) % list.length;
    if (by === 0 || !list[to]) return;
    event.preventDefault();
    event.stopPropagation();
    openTab(store, list[to].name);
    buttons[to]?.focus();
  }

  return h("aside", { class: "wl-aside", "aria-label": "Numbers" }, h("div", { class: "wl-tabs", role: "tablist", "aria-label": "Panels" }, ...buttons), ...panels);
}
