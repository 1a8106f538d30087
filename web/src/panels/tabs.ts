// Tabs: one panel at a time where they don't all fit; arrow keys go from tab to tab.
import { h } from "../dom.ts";

export interface Tab {
  name: string;
  title: string;
  content: HTMLElement;
}

export class Tabs {
  readonly element: HTMLElement;
  private readonly buttons: HTMLButtonElement[];

  constructor(
    private readonly tabs: Tab[],
    private readonly chosen: (name: string) => void,
  ) {
    this.buttons = tabs.map(({ name, title }) =>
      h("button", {
        type: "button",
        role: "tab",
        id: `wl-tab-${name}`,
        "aria-controls": `wl-panel-${name}`,
        text: title,
        on: { click: () => chosen(name), keydown: (event) => this.key(event) },
      }),
    );
    for (const { name, content } of tabs) {
      content.id = `wl-panel-${name}`;
      content.setAttribute("role", "tabpanel");
      content.setAttribute("aria-labelledby", `wl-tab-${name}`);
      content.tabIndex = 0;
    }
    this.element = h(
      "aside",
      { class: "wl-aside", "aria-label": "Numbers" },
      h("div", { class: "wl-tabs", role: "tablist", "aria-label": "Panels" }, ...this.buttons),
      ...tabs.map(({ content }) => content),
    );
  }

  /** The tab there is of this name, else the first. */
  show(name: string | null): void {
    const at = Math.max(0, this.tabs.findIndex((tab) => tab.name === name));
    this.tabs.forEach(({ content }, n) => (content.hidden = n !== at));
    this.buttons.forEach((button, n) => {
      button.setAttribute("aria-selected", String(n === at));
      button.tabIndex = n === at ? 0 : -1;
    });
  }

  private key(event: KeyboardEvent): void {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (by === 0) return;
    event.preventDefault();
    event.stopPropagation();
    const at = this.buttons.indexOf(event.currentTarget as HTMLButtonElement);
    const next = this.tabs[(at + by + this.tabs.length) % this.tabs.length];
    if (!next) return;
    this.chosen(next.name);
    this.buttons[this.tabs.indexOf(next)]?.focus();
  }
}
