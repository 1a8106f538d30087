// The head of the live page: the text, what is asked of it, and what is going on.
import { h } from "../dom.ts";
import { clipped, readableText } from "../format.ts";
import type { Scene } from "../scene.gen.ts";
import type { Asked, By } from "./asked.ts";

/** What stands in the fields, asked or not. */
export type Draft = Pick<Asked, "text" | "chat" | "by" | "how" | "target" | "versus">;

export interface BarEvents {
  onAsk(draft: Draft): void;
  /** What is written in the fields changed. */
  onDraft(): void;
  onCancel(): void;
}

export class Bar {
  readonly element: HTMLElement;
  private readonly text: HTMLTextAreaElement;
  private readonly chat: HTMLInputElement;
  private readonly by: HTMLSelectElement;
  private readonly how: HTMLSelectElement;
  private readonly target: HTMLInputElement;
  private readonly versus: HTMLInputElement;
  private readonly known = h("datalist", { id: "wl-known-tokens" });
  private readonly line = h("span", { class: "wl-doing", role: "status" });
  private readonly wrong = h("span", { class: "wl-wrong", role: "alert" });
  private readonly stop: HTMLButtonElement;
  /** The text as it was last asked or shown: what differs from it was typed since, and stays. */
  private settled = "";
  private readonly busy = h("i", { class: "wl-busy", "aria-hidden": "true" });

  constructor(
    private readonly model: string,
    private readonly events: BarEvents,
  ) {
    const run = (): void => this.ask();
    this.text = h("textarea", {
      class: "wl-text",
      rows: 1,
      spellcheck: "false",
      "aria-label": "The text that the model reads",
      title: "Enter runs, Shift+Enter breaks the line",
      on: {
        keydown: (event) => this.key(event),
        pointerdown: () => this.unfold(true),
        input: () => {
          this.unfold(true);
          events.onDraft();
        },
        blur: () => this.unfold(false),
      },
    });
    this.chat = h("input", { type: "checkbox", on: { change: run } });
    this.by = choice("The method of attribution", ["gradient", "frozen", "contribution"], run);
    this.how = choice("The cut that the gradient is matched to", ["zero", "mask"], run);
    this.target = this.token("why", "likeliest next");
    this.versus = this.token("over", "nothing");
    this.stop = h("button", { type: "button", class: "wl-stop", text: "Cancel", on: { click: () => events.onCancel() } });
    this.element = h(
      "div",
      { class: "wl-heading wl-bar-live" },
      h("div", { class: "wl-ask" }, this.text, h("button", { type: "button", class: "wl-run", text: "Run", on: { click: run } })),
      h(
        "div",
        { class: "wl-byline wl-question" },
        h("b", { text: clipped(readableText(model), 32), title: model }),
        h("label", {}, "why ", this.target),
        h("label", {}, "over ", this.versus),
        h("label", {}, "attributed by ", this.by),
        h("label", {}, "for ", this.how),
        h("label", { title: "Set the text as a user’s turn of a chat" }, this.chat, " chat"),
        this.busy,
        this.line,
        this.stop,
        this.wrong,
        this.known,
      ),
    );
    this.quiet();
  }

  /** What was asked, and what the Scene says that meant; what was typed since then is left as it is. */
  show(asked: Asked, scene: Scene | null): void {
    if (this.text.value === this.settled) {
      if (this.text.value !== asked.text) this.text.value = asked.text;
      this.settled = asked.text;
    }
    this.chat.checked = asked.chat;
    this.by.value = asked.by;
    this.how.value = asked.how;
    setToken(this.target, asked.target, scene);
    setToken(this.versus, asked.versus, scene);
    this.enable(asked.by);
    if (scene) this.known.replaceChildren(...scene.predictions.map(({ token }) => h("option", { value: token })));
  }

  doing(line: string, seconds: number): void {
    this.wrong.textContent = "";
    this.busy.hidden = false;
    this.stop.hidden = false;
    this.line.textContent = `${line} · ${seconds.toFixed(1)} s`;
  }

  quiet(wrong = ""): void {
    this.busy.hidden = true;
    if (document.activeElement === this.stop) this.text.focus(); // a hidden button would lose the keyboard
    this.stop.hidden = true;
    this.line.textContent = "";
    this.wrong.textContent = wrong;
    this.wrong.title = wrong;
  }

  /** All lines of the text while it is written; one once it is asked, so that the rest is seen. */
  private unfold(open: boolean): void {
    this.text.classList.toggle("wl-unfolded", open);
  }

  private ask(): void {
    this.unfold(false);
    if (!this.text.value) {
      this.quiet(`Type a text for ${this.model} to read.`);
      return;
    }
    const draft = this.draft();
    this.settled = draft.text;
    settle(this.target, draft.target);
    settle(this.versus, draft.versus);
    this.events.onAsk(draft);
  }

  /** What stands in the fields now. */
  draft(): Draft {
    return {
      text: this.text.value,
      chat: this.chat.checked,
      by: this.by.value as By,
      how: this.how.value as "zero" | "mask",
      target: tokenIn(this.target),
      versus: tokenIn(this.versus),
    };
  }

  /** Contribution asks for no target, and only the gradient is matched to a cut. */
  private enable(by: By): void {
    this.target.disabled = this.versus.disabled = by === "contribution";
    this.how.disabled = by !== "gradient";
  }

  private token(name: string, none: string): HTMLInputElement {
    return h("input", {
      type: "text",
      class: "wl-target",
      list: "wl-known-tokens",
      placeholder: none,
      spellcheck: "false",
      autocomplete: "off",
      "aria-label": name === "why" ? "The token that is asked about" : "The token it is compared with",
      title: "A token with its space, such as “ Paris”, or id:7042",
      on: {
        input: () => this.events.onDraft(),
        change: (event) => this.changed(event.currentTarget as HTMLInputElement),
        keydown: (event) => this.key(event),
      },
    });
  }

  /** Leaving a field asks, unless Enter has asked the same already. */
  private changed(input: HTMLInputElement): void {
    if (tokenIn(input) !== input.dataset["asked"]) this.ask();
  }

  private key(event: KeyboardEvent): void {
    event.stopPropagation();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.ask();
  }
}

/** A token asked for by its number is shown as it is written, where the Scene tells; one typed since is left. */
function setToken(input: HTMLInputElement, asked: string, scene: Scene | null): void {
  if (input.value !== (input.dataset["shown"] ?? "")) return;
  const known = scene ? [...scene.predictions, scene.attribution.target, scene.attribution.versus] : [];
  input.value = known.find((one) => one && asked === `id:${one.id}`)?.token ?? asked;
  input.dataset["asked"] = asked;
  input.dataset["shown"] = input.value;
}

/** What is typed was asked: it is no longer newer than what is asked. */
function settle(input: HTMLInputElement, asked: string): void {
  input.dataset["asked"] = asked;
  input.dataset["shown"] = input.value;
}

/** What is asked by a field: by number again where nothing else was typed. */
function tokenIn(input: HTMLInputElement): string {
  return input.value === input.dataset["shown"] ? (input.dataset["asked"] ?? "") : input.value;
}

function choice(label: string, values: string[], changed: () => void): HTMLSelectElement {
  return h(
    "select",
    { class: "wl-select", "aria-label": label, title: label, on: { change: changed } },
    ...values.map((value) => h("option", { value, text: value })),
  );
}
