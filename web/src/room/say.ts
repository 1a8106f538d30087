// Where a person speaks: under a name of their own.
import { h } from "../dom.ts";
import type { HeadEvents } from "./head.ts";
import { seen } from "./spans.ts";

export class Say {
  readonly element: HTMLElement;
  private readonly who = h("input", { type: "text", class: "wl-say-who", value: "You", maxlength: 60, "aria-label": "Your name", autocomplete: "off" });
  private readonly text: HTMLTextAreaElement;
  private before: Promise<void> = Promise.resolve();
  private readonly wrong = h("p", { class: "wl-wrong", role: "alert" });

  constructor(private readonly onDeed: HeadEvents["onDeed"]) {
    this.text = h("textarea", {
      class: "wl-say-text",
      rows: 2,
      maxlength: 20000,
      placeholder: "Say something",
      "aria-label": "Say something",
      title: "Enter says it, Shift+Enter breaks the line",
      on: { keydown: (event) => this.key(event) },
    });
    this.element = h("form", { class: "wl-say", on: { submit: (event) => this.say(event) } }, this.who, this.text, h("button", { type: "submit", class: "wl-run", text: "Say" }), this.wrong);
  }

  private key(event: KeyboardEvent): void {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    this.say(event);
  }

  /** One after the other, in the order of typing. What could not be said comes back before what was typed since. */
  private say(event: globalThis.Event): void {
    event.preventDefault();
    const [who, text] = [this.who.value || "You", this.text.value];
    if (text.trim() === "") return;
    this.text.value = "";
    this.before = this.before.then(() => new Promise((done) => this.onDeed({ do: "say", who, text }, (wrong) => done(this.ended(text, wrong)))));
  }

  private ended(text: string, wrong: string): void {
    this.wrong.textContent = seen(wrong);
    if (wrong !== "") this.text.value = [text, this.text.value].filter(Boolean).join("\n");
  }
}
