// What can be opened: scenarios, and conversations to go on with.
import { h } from "../dom.ts";
import { seen } from "./spans.ts";
import type { Rooms } from "./wire.ts";

export interface ListEvents {
  onOpen(which: { scenario: string } | { log: string }): void;
  onBack(): void;
}

export class RoomList {
  readonly element = h("section", { class: "wl-room-list", "aria-label": "Rooms" });
  private readonly wrong = h("p", { class: "wl-wrong", role: "alert" });

  constructor(private readonly events: ListEvents) {}

  show({ scenarios, logs, open }: Rooms, why: string): void {
    this.wrong.textContent = seen(why);
    this.element.replaceChildren(
      h("h2", { text: "Several models in one conversation" }),
      h("p", { class: "wl-hint", text: "Every reply streams in, every command has an outcome, and for local models the page shows whose words each reply drew on." }),
      this.wrong,
      ...(open ? [h("p", { class: "wl-room-open" }, h("span", {}, "Open now: ", h("b", { dir: "auto", text: seen(open.title) })), h("button", { type: "button", class: "wl-run", text: "Go back to it", on: { click: () => this.events.onBack() } }))] : []),
      h("h3", { text: "Begin a new one" }),
      h(
        "ul",
        { class: "wl-scenarios" },
        ...scenarios.map(({ name, title, about }) =>
          h("li", {}, h("h4", { dir: "auto", text: seen(title) }), h("p", { dir: "auto", text: seen(about) }), h("button", { type: "button", class: "wl-run", text: "Open", "aria-label": seen(`Open ${title}`), on: { click: () => this.open({ scenario: name }) } })),
        ),
      ),
      ...(logs.length > 0 ? [h("h3", { text: "Go on with one" }), h("ul", { class: "wl-logs" }, ...logs.map((log) => h("li", {}, h("button", { type: "button", class: "wl-log", text: seen(log), on: { click: () => this.open({ log }) } }))))] : []),
    );
  }

  /** What went wrong; nothing else changes. */
  said(wrong: string): void {
    this.wrong.textContent = seen(wrong);
    for (const button of this.element.querySelectorAll("button")) button.disabled = false;
    if (!this.wrong.isConnected) this.element.append(this.wrong);
  }

  private open(which: { scenario: string } | { log: string }): void {
    this.wrong.textContent = "";
    for (const button of this.element.querySelectorAll("button")) button.disabled = true;
    this.events.onOpen(which);
  }
}
