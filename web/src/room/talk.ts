// The conversation: rows that are drawn once and kept, what is being written, the strands beside them.
import { h } from "../dom.ts";
import { clipped, percent, signed } from "../format.ts";
import { type Anchor, Gutter } from "./gutter.ts";
import { type MessageEvents, messageOf, speaker } from "./message.ts";
import type { Pictures } from "./pictures.ts";
import { flowsOf, HUES, type Hues, huesOf, NO_HUE, strandsOf } from "./reading.ts";
import { seen } from "./spans.ts";
import type { ForkRow, QuietRow, Row } from "./story.ts";
import type { Event, Flow, Piece } from "./wire.ts";

const FIRST_WORDS = 70; // characters of another branch
const NEAR_PX = 80; // so near to the end the reader is taken along
const ANCHOR_PX = 17; // from the top of a message to the middle of its name

export interface TalkEvents extends MessageEvents {
  onLook(number: number): void;
}

export class Talk {
  readonly element: HTMLElement;
  private readonly gutter = new Gutter();
  private readonly rows = h("ol", { class: "wl-rows" });
  private readonly writing = h("div", { class: "wl-writing", hidden: true });
  private readonly inner: HTMLElement;
  private readonly box: HTMLElement;
  private readonly below: HTMLButtonElement;
  private readonly kept = new Map<string, { stamp: string; element: HTMLElement }>();
  private flows: ReadonlyMap<number, Flow> = new Map();
  private line: readonly Event[] = [];
  private hues: Hues = new Map();
  private lit: number | null = null;
  private stuck = true;
  private top = 0;
  private lies = ""; // where the rows lay when the strands were drawn
  private readonly watcher = new ResizeObserver(() => this.settle());

  constructor(
    private readonly pictures: Pictures,
    private readonly events: TalkEvents,
  ) {
    const over = (event: globalThis.Event): void => this.light(numberAt(event.target));
    this.inner = h("div", { class: "wl-talk-inner", on: { mouseover: over, mouseleave: () => this.light(null), focusin: over, focusout: () => this.light(null) } }, this.rows, this.writing);
    this.inner.prepend(this.gutter.element);
    this.box = h("div", { class: "wl-talk-box", tabindex: 0, role: "region", "aria-label": "The conversation", on: { scroll: () => this.scrolled() } }, this.inner);
    this.below = h("button", { type: "button", class: "wl-below", text: "Newest ↓", hidden: true, on: { click: () => this.toEnd() } });
    this.element = h("div", { class: "wl-talk" }, this.box, this.below);
    this.watcher.observe(this.inner);
    this.watcher.observe(this.box);
  }

  /** Show a line; what is shown already stays as it is. */
  show(line: readonly Event[], rows: readonly Row[]): void {
    this.line = line;
    this.hues = huesOf(line);
    this.flows = flowsOf(line);
    const names = [...this.hues].join();
    let at: Element | null = this.rows.firstElementChild;
    const wanted = new Set<string>();
    for (const row of rows) {
      wanted.add(row.key);
      const element = this.elementOf(row, names);
      if (element === at) at = at.nextElementSibling;
      else this.rows.insertBefore(element, at);
    }
    for (const [key, { element }] of this.kept) if (!wanted.has(key)) this.drop(key, element);
    this.lies = "";
    this.settle();
  }

  /** What of a reply has come so far; it is no event yet. */
  write({ who, text }: Piece): void {
    this.writing.hidden = text === "";
    if (text === "") {
      this.writing.replaceChildren();
      return;
    }
    const hue = this.hues.get(who) ?? HUES[this.hues.size % HUES.length] ?? NO_HUE;
    const words = this.writing.querySelector<HTMLElement>(".wl-words");
    if (words && this.writing.dataset["who"] === who) words.textContent = seen(text);
    else {
      this.writing.dataset["who"] = who;
      this.writing.style.setProperty("--hue", hue);
      this.writing.replaceChildren(h("header", {}, ...speaker(who, hue, "is writing; not in the log yet")), h("p", { class: "wl-words", dir: "auto", text: seen(text) }));
    }
  }

  toEnd(): void {
    this.stuck = true;
    this.settle();
  }

  /** Once the page has been drawn anew around it: back to where the reader was. */
  restore(): void {
    if (this.stuck) this.toEnd();
    else this.box.scrollTop = this.top;
  }

  /** Bring a message into view and give it the keyboard. */
  reveal(number: number): void {
    const found = this.said(number);
    if (!found) return;
    this.stuck = false;
    found.scrollIntoView({ block: "center" });
    found.focus({ preventScroll: true });
  }

  clear(): void {
    for (const [key, { element }] of this.kept) this.drop(key, element);
    this.write({ who: "", text: "" });
    this.light(null);
    this.stuck = true;
  }

  private drop(key: string, element: HTMLElement): void {
    element.remove();
    this.kept.delete(key);
  }

  private elementOf(row: Row, names: string): HTMLElement {
    const stamp = `${row.holds.join()}|${row.kind === "said" ? names : ""}`;
    const known = this.kept.get(row.key);
    if (known?.stamp === stamp) return known.element;
    const element = known?.element ?? h("li", {});
    element.replaceChildren(this.content(row));
    this.kept.set(row.key, { stamp, element });
    return element;
  }

  private content(row: Row): HTMLElement {
    if (row.kind === "said") return messageOf(row, this.hues, this.pictures, this.events);
    return row.kind === "quiet" ? quietOf(row) : forkOf(row, this.events);
  }

  private said(number: number): HTMLElement | null {
    return this.rows.querySelector<HTMLElement>(`.wl-said[data-number="${number}"]`);
  }

  /** Draw the strands where messages lie now, and stay at the end if the reader was there. */
  private settle(): void {
    const width = parseFloat(getComputedStyle(this.inner).paddingLeft) || 24;
    const lies = [width, this.rows.offsetTop, this.rows.offsetHeight].join();
    if (lies !== this.lies) this.strands(width);
    this.lies = lies;
    if (this.stuck) this.box.scrollTop = this.box.scrollHeight;
    this.scrolled();
  }

  private strands(width: number): void {
    const top = this.inner.getBoundingClientRect().top;
    const bodies = new Map(this.line.map(({ number, body }) => [number, body]));
    const anchors: Anchor[] = [...this.rows.querySelectorAll<HTMLElement>(".wl-said")].map((one) => {
      const number = Number(one.dataset["number"]);
      const body = bodies.get(number);
      return { number, who: body?.kind === "message" ? body.who : "", y: one.getBoundingClientRect().top - top + ANCHOR_PX, flows: this.flows.has(number) };
    });
    this.gutter.draw(anchors, strandsOf(this.line), this.hues, width, this.rows.offsetTop + this.rows.offsetHeight);
  }

  private scrolled(): void {
    if (this.box.clientHeight === 0) return; // it is not shown
    const near = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < NEAR_PX;
    this.stuck = near || (this.stuck && this.box.scrollTop >= this.top); // what grew below has not moved the reader
    this.top = this.box.scrollTop;
    this.below.hidden = this.stuck;
  }

  /** One message's strands alone, with numbers beside what it read. */
  private light(number: number | null): void {
    if (number === this.lit) return;
    this.lit = number;
    this.gutter.light(number);
    for (const one of this.rows.querySelectorAll(".wl-beside:not(:empty)")) one.replaceChildren();
    for (const one of this.rows.querySelectorAll(".wl-read-of")) one.classList.remove("wl-read-of");
    for (const read of this.flows.get(number ?? 0)?.messages ?? []) {
      const said = read.event === null ? null : this.said(read.event);
      said?.classList.add("wl-read-of");
      said?.querySelector(".wl-beside")?.replaceChildren(`${percent(read.attention)} · ${signed(read.lost_nats)} nats`);
    }
  }
}

function numberAt(target: EventTarget | null): number | null {
  const said = target instanceof Element ? target.closest<HTMLElement>(".wl-said") : null;
  return said ? Number(said.dataset["number"]) : null;
}

function quietOf({ lines }: QuietRow): HTMLElement {
  return h("p", { class: "wl-quiet" }, ...lines.map(({ text, loud }) => h("span", { class: loud ? "wl-loud" : "", dir: "auto", text: seen(text) })));
}

function forkOf({ ways }: ForkRow, events: TalkEvents): HTMLElement {
  return h(
    "div",
    { class: "wl-fork" },
    h("p", { text: ways.length === 1 ? "From here it also went on another way:" : `From here it also went on ${ways.length} other ways:` }),
    ...ways.map(({ number, first }) => {
      const words = first ? clipped(`${first.who}: ${first.shown.replace(/\s+/g, " ")}`, FIRST_WORDS) : "nothing was said on it";
      const look = h("button", { type: "button", text: "Look", "aria-label": `Look at the other branch, from event ${number}`, on: { click: () => events.onLook(number) } });
      return h("p", {}, h("bdi", { text: seen(words) }), look);
    }),
  );
}
