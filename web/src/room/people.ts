// Who is here, as they are now: warmer or cooler, silent, shown out; and somebody new.
import { h } from "../dom.ts";
import { chipOf } from "./drawing.ts";
import type { HeadEvents } from "./head.ts";
import type { Hues } from "./reading.ts";
import { seen } from "./spans.ts";
import type { Seated, Standing } from "./wire.ts";

interface Seat {
  element: HTMLElement;
  show(one: Seated, next: boolean, hue: string | undefined): void;
}

export class People {
  readonly element: HTMLElement;
  private readonly list = h("ul", { class: "wl-people" });
  private readonly wrong = h("p", { class: "wl-wrong", role: "alert" });
  private readonly seats = new Map<string, Seat>();
  private readonly name = h("input", { type: "text", maxlength: 60, required: true, autocomplete: "off" });
  private readonly model = h("select", { class: "wl-select" });
  private readonly persona = h("textarea", { rows: 2, maxlength: 2000 });
  private readonly warmth = h("input", { type: "number", min: 0, max: 2, step: 0.1, value: 1, class: "wl-room-number" });
  private readonly adding: HTMLDetailsElement;

  constructor(private readonly onDeed: HeadEvents["onDeed"]) {
    const form = h(
      "form",
      { class: "wl-room-form", on: { submit: (event) => this.add(event) } },
      h("label", {}, "Name", this.name),
      h("label", {}, "Model", this.model),
      h("label", {}, "Persona", this.persona),
      h("label", { class: "wl-in-line" }, "Temperature", this.warmth),
      h("button", { type: "submit", class: "wl-run", text: "Add" }),
    );
    this.adding = h("details", { class: "wl-room-add" }, h("summary", { text: "Add somebody" }), form);
    this.element = h("section", { class: "wl-room-part", "aria-label": "Who is here" }, h("h3", { text: "Who is here" }), this.list, this.wrong, this.adding);
  }

  models(names: readonly string[]): void {
    this.model.replaceChildren(...names.map((value) => h("option", { value, text: seen(value) })));
    this.adding.hidden = names.length === 0;
  }

  show({ present, next }: Standing, hues: Hues): void {
    for (const [name, { element }] of this.seats) {
      if (present.some((one) => one.name === name)) continue;
      element.remove();
      this.seats.delete(name);
    }
    present.forEach((one, at) => {
      const seat = this.seats.get(one.name) ?? this.seat(one.name);
      this.seats.set(one.name, seat);
      seat.show(one, one.name === next, hues.get(one.name));
      if (this.list.children[at] !== seat.element) this.list.insertBefore(seat.element, this.list.children[at] ?? null);
    });
  }

  private seat(name: string): Seat {
    const chip = h("span", {});
    const by = h("span", { class: "wl-by" });
    const mark = h("span", { class: "wl-next-mark" });
    const warmth = h("input", { type: "number", min: 0, max: 2, step: 0.1, class: "wl-room-number", "aria-label": seen(`Temperature of ${name}`), on: { change: () => this.warm(name, warmth) } });
    const warm = h("label", { class: "wl-in-line" }, "temperature ", warmth);
    const muted = h("input", { type: "checkbox", on: { change: () => this.deed({ do: "set", what: "muted", value: muted.checked, who: name }) } });
    const out = h("button", { type: "button", class: "wl-branch", text: "Remove", "aria-label": seen(`Remove ${name}`), on: { click: () => this.deed({ do: "remove", name }) } });
    const element = h(
      "li",
      {},
      h("p", {}, chip, h("b", { class: "wl-who" }, h("bdi", { text: seen(name) })), mark, out),
      by,
      h("p", { class: "wl-seat-set" }, warm, h("label", { class: "wl-check" }, muted, "silent")),
    );
    const show = (one: Seated, next: boolean, hue: string | undefined): void => {
      chip.replaceChildren(chipOf(hue));
      element.style.setProperty("--hue", hue ?? "currentcolor");
      by.textContent = seen(`${one.model}${one.scripted ? " · scripted" : ""} · ${one.replies} ${one.replies === 1 ? "reply" : "replies"}`);
      by.title = seen(one.persona);
      mark.textContent = next ? "next" : "";
      warm.hidden = one.scripted;
      if (document.activeElement !== warmth) warmth.value = String(one.temperature);
      if (document.activeElement !== muted) muted.checked = one.muted;
      element.classList.toggle("wl-is-silent", one.muted);
    };
    return { element, show };
  }

  private warm(name: string, input: HTMLInputElement): void {
    if (input.value !== "") this.deed({ do: "set", what: "temperature", value: Number(input.value), who: name });
  }

  private deed(deed: Parameters<HeadEvents["onDeed"]>[0]): void {
    this.wrong.textContent = "";
    this.onDeed(deed, (wrong) => (this.wrong.textContent = seen(wrong)));
  }

  /** What was typed stays until somebody has come in by it. */
  private add(event: globalThis.Event): void {
    event.preventDefault();
    const name = this.name.value;
    this.wrong.textContent = "";
    this.onDeed({ do: "join", name, model: this.model.value, persona: this.persona.value, temperature: Number(this.warmth.value || 1) }, (wrong) => {
      this.wrong.textContent = seen(wrong);
      if (wrong !== "") return;
      this.name.value = "";
      this.persona.value = "";
    });
  }
}
