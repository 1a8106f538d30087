// Beside the conversation: who is here, the budget, the turns, who reads whom.
import { h } from "../dom.ts";
import { type Known, whoReadsWhom } from "./line.ts";
import { MODES, type Seated, type Standing } from "./wire.ts";
import { nats, percent } from "./words.ts";

export interface PeopleEvents {
  onDo(deed: { do: string; [name: string]: unknown }): void;
}

export class People {
  readonly element: HTMLElement;
  private readonly seats = h("ul", { class: "wl-room-seats" });
  private readonly spent = h("p", { class: "wl-hint" });
  private readonly reading = h("div", { class: "wl-room-reading" });
  private readonly mode: HTMLSelectElement;
  private readonly most: HTMLInputElement;
  private readonly models = h("select", { name: "model" });
  private shown = "";

  constructor(private readonly on: PeopleEvents) {
    this.mode = h("select", { on: { change: () => on.onDo({ do: "set", what: "mode", value: this.mode.value }) } }, ...MODES.map((name) => h("option", { value: name, text: name.replace("_", " ") })));
    this.most = h("input", {
      type: "number",
      min: 0,
      placeholder: "no limit",
      on: { change: () => on.onDo({ do: "limit", messages: this.most.value === "" ? null : Number(this.most.value) }) },
    });
    this.element = h(
      "div",
      { class: "wl-room-people" },
      h("h3", { text: "Who is here" }),
      this.seats,
      this.adding(),
      h("h3", { text: "Turns" }),
      h("label", { class: "wl-room-field" }, "taken", this.mode),
      h("label", { class: "wl-room-field" }, "replies at most", this.most),
      this.spent,
      this.reading,
    );
  }

  offer(models: readonly string[]): void {
    this.models.replaceChildren(...models.map((name) => h("option", { value: name, text: name })));
  }

  show(standing: Standing): void {
    const { present, next, settings, spent, limits, talking } = standing;
    const wire = JSON.stringify([present, next]);
    if (wire !== this.shown) {
      this.shown = wire;
      this.seats.replaceChildren(...present.map((one) => this.seat(one, one.name === next)));
    }
    if (document.activeElement !== this.mode) this.mode.value = String(settings["mode"]);
    if (document.activeElement !== this.most) this.most.value = limits.messages === null ? "" : String(limits.messages);
    const unpriced = spent.unpriced > 0 ? `, ${spent.unpriced} without a known price` : "";
    this.spent.textContent = `${spent.messages} replies, ${spent.tokens} tokens, ${spent.dollars.toFixed(4)} dollars${unpriced}.${talking ? "" : ` Next: ${next ?? "nobody"}.`}`;
  }

  /** Who reads whom, over the line that is shown. */
  fill(known: Known, hues: ReadonlyMap<string, string>): void {
    const { readers, read, pairs, mostRead } = whoReadsWhom(known);
    if (readers.size === 0) {
      this.reading.replaceChildren();
      return;
    }
    const dot = (name: string): HTMLElement => {
      const found = h("i", { class: "wl-room-dot", "aria-hidden": "true" });
      found.style.background = hues.get(name) ?? "var(--wl-pale)";
      return found;
    };
    const head = h("tr", {}, h("th", { scope: "col", text: "reader" }), ...read.map((name) => h("th", { scope: "col" }, dot(name), h("bdi", { text: name }))));
    const rows = [...readers].map(([reader, n]) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("bdi", { text: `${reader} (${n})` })),
        ...read.map((name) => {
          const pair = pairs.get(reader)?.get(name);
          return h("td", pair ? { text: percent(pair.attention), title: `${reader} read ${name}: ${percent(pair.attention)} of its attention; without it ${nats(pair.lost)} lost, to first order` } : { text: "–" });
        }),
      ),
    );
    this.reading.replaceChildren(
      h("h3", { text: "Who reads whom" }),
      h("div", { class: "wl-room-table", tabindex: 0, role: "group", "aria-label": "Who reads whom" }, h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows))),
      h("p", { class: "wl-hint", text: `${mostRead ? `Most read by the others: ${mostRead}. ` : ""}Share of a reply's attention on that speaker's messages, mean over the reader's replies.` }),
    );
  }

  private seat(one: Seated, isNext: boolean): HTMLElement {
    const marks = [one.scripted ? "scripted" : one.model, `temperature ${one.temperature}`, one.muted ? "silent" : "", isNext ? "next" : ""].filter(Boolean);
    return h(
      "li",
      {},
      h("bdi", { class: "wl-room-who", text: one.name }),
      h("span", { class: "wl-room-mark", text: marks.join(", ") }),
      h("button", { type: "button", text: one.muted ? "let speak" : "mute", "aria-label": `${one.muted ? "Let speak" : "Mute"} ${one.name}`, on: { click: () => this.on.onDo({ do: "set", what: "muted", value: !one.muted, who: one.name }) } }),
      h("button", { type: "button", text: "remove", "aria-label": `Remove ${one.name}`, on: { click: () => this.on.onDo({ do: "remove", name: one.name }) } }),
    );
  }

  private adding(): HTMLElement {
    const name = h("input", { type: "text", maxlength: 60, required: true, autocomplete: "off" });
    const persona = h("input", { type: "text", maxlength: 2000, autocomplete: "off" });
    const warmth = h("input", { type: "number", min: 0, max: 2, step: 0.1, value: 0.8 });
    const form = h(
      "form",
      { class: "wl-room-adding" },
      h("label", { class: "wl-room-field" }, "name", name),
      h("label", { class: "wl-room-field" }, "model", this.models),
      h("label", { class: "wl-room-field" }, "persona", persona),
      h("label", { class: "wl-room-field" }, "temperature", warmth),
      h("button", { type: "submit", text: "Add" }),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.on.onDo({ do: "join", name: name.value, model: this.models.value, persona: persona.value, temperature: Number(warmth.value) });
    });
    return h("details", { class: "wl-room-add" }, h("summary", { text: "Add somebody" }), form);
  }
}
