// The slider that chooses how much is drawn and says what it keeps; column 0; the widest strand.
import { h, number } from "../dom.ts";
import { count, counted, percent, plain } from "../format.ts";
import { countAt, placeOf, type Selection } from "../select.ts";

const STEPS = 1000;

export interface ControlEvents {
  /** The slider moves; `settled` when it is let go. */
  onCount(n: number, settled: boolean): void;
  onSink(shown: boolean): void;
  onAbout(): void;
}

export class Controls {
  readonly element: HTMLElement;
  private readonly slider: HTMLInputElement;
  private readonly says = h("output", { class: "wl-says" });
  private readonly sink: HTMLInputElement;
  private readonly widths = h("span", { class: "wl-widths" });
  private most = 0;
  private n = 0;

  constructor(
    private readonly unit: string,
    private readonly events: ControlEvents,
    selector: HTMLElement | null,
  ) {
    this.slider = h("input", {
      type: "range",
      min: 0,
      max: STEPS,
      step: 1,
      class: "wl-slider",
      "aria-label": "How many edges are drawn",
      on: {
        input: () => this.set(countAt(Number(this.slider.value) / STEPS, this.most), false),
        change: () => this.set(countAt(Number(this.slider.value) / STEPS, this.most), true),
        keydown: (event) => this.key(event),
      },
    });
    this.sink = h("input", {
      type: "checkbox",
      on: { change: () => this.events.onSink(this.sink.checked) },
    });
    const about = h("button", {
      type: "button",
      class: "wl-i",
      "aria-label": "What the weights mean",
      title: "What the weights mean",
      text: "i",
      on: { click: () => this.events.onAbout() },
    });
    const sinkTitle =
      "Many models park attention they do not need on the first token. Hide what is read from it.";
    this.element = h(
      "div",
      { class: "wl-controls" },
      h("div", { class: "wl-amount" }, this.slider, this.says, about),
      this.widths,
      selector,
      h("label", { class: "wl-check", title: sinkTitle }, this.sink, "reads of column 0"),
    );
  }

  /** `between` names the groups that edges lead between, "" for tokens. */
  show(selection: Selection, sink: boolean, between = ""): void {
    this.most = selection.available;
    this.n = selection.edges.length;
    this.slider.value = String(Math.round(placeOf(this.n, this.most) * STEPS));
    this.slider.disabled = this.most === 0;
    const of = counted(selection.of, between ? "group edge" : "edge");
    const flow = between ? "net flow" : "flow";
    const words = `${count(this.n)} of ${of}, ${percent(selection.share)} of the ${flow}`;
    this.says.replaceChildren(
      number(this.n, count(this.n), "drawn_edges"),
      " of ",
      number(selection.of, count(selection.of), "all_edges"),
      ` ${of.replace(/^[\d,]+ /, "")}, `,
      number(selection.share, percent(selection.share), "flow_share"),
      ` of the ${flow}`,
    );
    this.says.title =
      `${counted(this.most, "edge")} ${between && `between ${between} `}can be drawn; the share is of the sum of |${between ? "net" : "weight"}| over all ` +
      `${of} of the run.`;
    this.slider.setAttribute("aria-valuetext", words);
    this.sink.checked = sink;
    const { strongest } = selection;
    this.widths.replaceChildren(
      ...(strongest > 0 ? ["widest strand ", number(strongest, plain(strongest), "widest")] : []),
    );
    this.widths.title = this.unit;
  }

  /** Arrow keys go edge by edge, whatever the scale of the slider. */
  private key(event: KeyboardEvent): void {
    const leap = Math.max(10, Math.round(this.n / 4));
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowUp: 1,
      ArrowLeft: -1,
      ArrowDown: -1,
      PageUp: leap,
      PageDown: -leap,
    };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.set(Math.max(0, Math.min(this.most, this.n + step)), true);
  }

  private set(n: number, settled: boolean): void {
    this.n = n;
    this.events.onCount(n, settled);
  }
}
