// The list of what is cut: how, added to, taken back, run again.
import { chip, h } from "../dom.ts";
import { clipped } from "../format.ts";
import { keepingFocus } from "../focus.ts";
import { type Asked, cutWords, type How } from "./asked.ts";

export interface CuttingEvents {
  onCuts(cuts: string[], how: How, patchFrom: string): void;
}

const HOWS: [How, string][] = [
  ["mask", "mask: the score is minus infinity, the rest of the row renormalises (attention knockout)"],
  ["zero", "zero: the weighted value is taken out after the softmax (zero ablation)"],
  ["patch", "patch: K and V are those of another text (activation patching)"],
];

export class Cutting {
  readonly element: HTMLElement;
  private readonly list = h("ol", { class: "wl-cuts" });
  private readonly hows = new Map<How, HTMLInputElement>();
  private readonly patch: HTMLInputElement;
  private readonly from: HTMLSelectElement;
  private readonly to: HTMLSelectElement;
  private readonly layers: HTMLInputElement;
  private readonly undo: HTMLButtonElement;
  private readonly clear: HTMLButtonElement;
  private readonly past: string[][] = [];
  private asked: Pick<Asked, "cuts" | "cutHow" | "patchFrom"> = { cuts: [], cutHow: "mask", patchFrom: "" };
  private labels: string[] = [];
  /** The patch's text as it was last asked or shown. */
  private settled = "";
  private readonly running = h("p", { class: "wl-hint", hidden: true, text: "Being run: not in the picture yet." });

  constructor(private readonly events: CuttingEvents) {
    this.patch = h("input", {
      type: "text",
      class: "wl-target wl-wide",
      placeholder: "another text of the same length",
      "aria-label": "The text whose K and V are patched in",
      on: { change: () => this.tell(this.asked.cuts), keydown: (event) => event.stopPropagation() },
    });
    const columns = (label: string): HTMLSelectElement => h("select", { class: "wl-select", "aria-label": label });
    this.from = columns("Token that is read");
    this.to = columns("Token that reads");
    this.layers = h("input", {
      type: "text",
      class: "wl-target wl-narrow",
      value: "*",
      "aria-label": "Layers, such as 20-29, * for all",
      title: "Layers: 3, 20-29, or * for all",
      on: { keydown: (event) => event.stopPropagation() },
    });
    const button = (text: string, click: () => void): HTMLButtonElement =>
      h("button", { type: "button", class: "wl-stop", text, on: { click } });
    this.undo = button("Undo", () => this.back());
    this.clear = button("Clear", () => this.change([]));
    this.element = h(
      "section",
      { class: "wl-panel", "aria-label": "Cuts" },
      h("h2", { text: "Cut" }),
      h("fieldset", { class: "wl-choices" }, h("legend", { text: "How" }), ...HOWS.map(([how, words]) => this.choice(how, words))),
      this.patch,
      h("p", { class: "wl-hint", text: "Press cut beside an edge or a token, or x while pointing at one. Or a span:" }),
      h("div", { class: "wl-span" }, this.to, h("span", { text: "reading" }), this.from, h("span", { text: "layers" }), this.layers, button("cut", () => this.span())),
      this.list,
      this.running,
      h("div", { class: "wl-choices" }, this.undo, this.clear),
    );
  }

  /** `running`: it is being cut, and is not in the picture yet. */
  show(asked: Asked, labels: string[], running: boolean): void {
    this.asked = asked;
    if (labels.join("\n") !== this.labels.join("\n")) this.fill(labels);
    this.labels = labels;
    for (const [how, input] of this.hows) input.checked = how === asked.cutHow;
    this.patch.hidden = asked.cutHow !== "patch";
    if (this.patch.value === this.settled) this.patch.value = asked.patchFrom;
    this.settled = asked.patchFrom;
    this.list.classList.toggle("wl-running", running);
    this.running.hidden = !running;
    keepingFocus(this.element, () => {
      this.list.replaceChildren(...asked.cuts.map((cut) => this.row(cut)));
      this.undo.disabled = this.past.length === 0;
      this.clear.disabled = asked.cuts.length === 0;
    });
  }

  /** One more cut, unless it is there already. */
  add(cut: string): void {
    if (!this.asked.cuts.includes(cut)) this.change([...this.asked.cuts, cut]);
  }

  private change(cuts: string[]): void {
    this.past.push(this.asked.cuts);
    this.tell(cuts);
  }

  private back(): void {
    let before = this.past.pop();
    while (before && before.join(";") === this.asked.cuts.join(";")) before = this.past.pop(); // it never came about
    if (before) this.tell(before);
  }

  private tell(cuts: string[]): void {
    const how = HOWS.find(([name]) => this.hows.get(name)?.checked)?.[0] ?? "mask";
    this.settled = this.patch.value;
    this.events.onCuts(cuts, how, this.patch.value);
  }

  private choice(how: How, words: string): HTMLElement {
    const input = h("input", { type: "radio", name: "wl-cut-how", value: how, on: { change: () => this.tell(this.asked.cuts) } });
    this.hows.set(how, input);
    return h("label", { class: "wl-choice", title: words }, input, how);
  }

  private row(cut: string): HTMLElement {
    const words = cutWords(cut, this.labels);
    const remove = h("button", {
      type: "button",
      class: "wl-close-small",
      text: "×",
      "aria-label": `Put back: ${words}`,
      on: { click: () => this.change(this.asked.cuts.filter((one) => one !== cut)) },
    });
    return h("li", {}, h("span", { title: cut }, chip(words)), remove);
  }

  private fill(labels: string[]): void {
    const option = (label: string, at: number): HTMLElement =>
      h("option", { value: at, text: `${at} ${clipped(label, 14)}` });
    const any = (): HTMLElement => h("option", { value: "*", text: "any token" });
    const most = 400;
    const shown = labels.slice(0, most);
    this.from.replaceChildren(...shown.map(option));
    this.to.replaceChildren(any(), ...shown.map(option));
    this.past.length = 0;
  }

  private span(): void {
    const layers = this.layers.value.trim() || "*";
    this.add(`${layers}.*:${this.from.value}>${this.to.value}`);
  }
}
