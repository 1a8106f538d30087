// The head of an open room: its title, playing and stopping, how turns are taken, what was spent.
import { h } from "../dom.ts";
import { count } from "../format.ts";
import { seen } from "./spans.ts";
import type { Deed, Standing } from "./wire.ts";

const MODES: [string, string][] = [
  ["round_robin", "in a round"],
  ["mention", "whom @ addresses"],
  ["natural", "naturally"],
  ["step", "one at a time"],
];

export interface HeadEvents {
  /** Do something; where it cannot be done, `say` is told why. */
  onDeed(deed: Deed, say: (wrong: string) => void): void;
  onClose(): void;
}

export class Head {
  readonly element: HTMLElement;
  private readonly title = h("h2", {});
  private readonly state = h("span", { class: "wl-room-state", role: "status" });
  private readonly play: HTMLButtonElement;
  private readonly pause: HTMLButtonElement;
  private readonly step: HTMLButtonElement;
  private readonly stop: HTMLButtonElement;
  private readonly mode: HTMLSelectElement;
  private readonly limit: HTMLInputElement;
  private readonly spent = h("span", {});
  private readonly rest = h("span", { class: "wl-pale" });
  private readonly wrong = h("p", { class: "wl-wrong", role: "alert" });
  private limits: Standing["limits"] = { messages: null, tokens: null, dollars: null };

  constructor(private readonly events: HeadEvents) {
    const button = (text: string, title: string, deed: Deed): HTMLButtonElement => h("button", { type: "button", class: "wl-deed", text, title, on: { click: () => this.deed(deed) } });
    this.play = button("Play", "Take turns until the budget ends", { do: "play" });
    this.pause = button("Pause", "No further turns after the reply that is being written", { do: "pause" });
    this.step = button("Step", "One turn", { do: "play", turns: 1 });
    this.stop = button("Stop", "End at once; a reply that is being written is cut off", { do: "stop" });
    this.mode = h(
      "select",
      { class: "wl-select", "aria-label": "How turns are taken", on: { change: () => this.deed({ do: "set", what: "mode", value: this.mode.value }) } },
      ...MODES.map(([value, text]) => h("option", { value, text })),
    );
    this.limit = h("input", { type: "number", min: 0, step: 1, class: "wl-room-number", "aria-label": "At most so many replies; empty for no limit", placeholder: "∞", on: { change: () => this.limited() } });
    const back = h("button", { type: "button", class: "wl-deed wl-back", text: "‹ All rooms", on: { click: () => events.onClose() } });
    this.element = h(
      "header",
      { class: "wl-room-head" },
      h("div", { class: "wl-room-title" }, back, this.title, this.state),
      h("div", { class: "wl-room-deeds", role: "group", "aria-label": "Turns" }, this.play, this.pause, this.step, this.stop),
      h("label", { class: "wl-room-mode" }, "turns ", this.mode),
      h("p", { class: "wl-room-spent" }, this.spent, " of ", this.limit, " replies", this.rest),
      this.wrong,
    );
  }

  show(standing: Standing): void {
    const { title, playing, talking, next, settings, spent, limits } = standing;
    if (this.title.textContent !== seen(title)) this.title.textContent = seen(title);
    const state = talking ? "talking" : playing === "playing" ? "ready" : playing;
    const words = `${state}${next === null ? "" : ` · next: ${next}`}`;
    if (this.state.textContent !== seen(words)) this.state.textContent = seen(words);
    this.element.classList.toggle("wl-talking", talking);
    enable(this.play, !talking, this.pause);
    enable(this.step, !talking, this.pause);
    enable(this.pause, talking && playing === "playing", this.play);
    enable(this.stop, talking, this.play);
    if (document.activeElement !== this.mode) this.mode.value = String(settings["mode"]);
    if (document.activeElement !== this.limit) this.limit.value = limits.messages === null ? "" : String(limits.messages);
    this.limits = limits;
    this.spent.textContent = count(spent.messages);
    const dollars = spent.dollars > 0 || spent.unpriced > 0 ? ` · $${spent.dollars.toFixed(4)}` : "";
    const unpriced = spent.unpriced > 0 ? ` (${count(spent.unpriced)} of unknown price)` : "";
    this.rest.textContent = ` · ${count(spent.tokens)} tokens${dollars}${unpriced}`;
  }

  /** What went wrong with what was done here; "" takes it away. */
  said(wrong: string): void {
    this.wrong.textContent = seen(wrong);
  }

  private deed(deed: Deed): void {
    this.said("");
    this.events.onDeed(deed, (wrong) => this.said(wrong));
  }

  private limited(): void {
    const given = this.limit.value.trim();
    if (!this.limit.validity.valid) {
      this.said("A budget is a whole number from 0 on, or empty for none.");
      return;
    }
    this.deed({ do: "limit", messages: given === "" ? null : Number(given), tokens: this.limits.tokens });
  }
}

/** Switch a button; one that has the keyboard hands it on. */
function enable(button: HTMLButtonElement, on: boolean, heir: HTMLButtonElement): void {
  if (button.disabled === !on) return;
  const held = document.activeElement === button;
  button.disabled = !on;
  if (!on && held) setTimeout(() => heir.focus(), 0);
}
