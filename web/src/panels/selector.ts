// Chooses what the columns are: tokens, words, sentences or turns, those that the Scene has.
import { h } from "../dom.ts";
import { count } from "../format.ts";
import type { ColumnsName } from "../grouping.ts";

export class Selector {
  /** Null where there is nothing to choose. */
  readonly element: HTMLElement | null;
  private readonly buttons = new Map<ColumnsName, HTMLButtonElement>();

  constructor(sizes: Map<ColumnsName, number>, onColumns: (name: ColumnsName) => void) {
    for (const [name, size] of sizes) {
      const title = `${count(size)} ${name} as columns`;
      const button = h("button", { type: "button", text: name, title, on: { click: () => onColumns(name) } });
      this.buttons.set(name, button);
    }
    const group = { class: "wl-columns", role: "group", "aria-label": "What the columns are" };
    this.element = sizes.size > 1 ? h("div", group, ...this.buttons.values()) : null;
  }

  show(chosen: ColumnsName): void {
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(name === chosen));
  }
}
