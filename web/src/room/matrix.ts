// Who reads whom: a small table of means, and who is read most.
import { figure, h, signClass } from "../dom.ts";
import { percent, signed } from "../format.ts";
import { chipOf } from "./drawing.ts";
import { type Hues, whoReadsWhom } from "./reading.ts";
import { seen } from "./spans.ts";
import type { Event, Numbers } from "./wire.ts";

/** The table of a line; null where no reply has a flow. */
export function matrixOf(line: readonly Event[], hues: Hues): HTMLElement | null {
  const { readers, read, cell, mostRead } = whoReadsWhom(line);
  if (readers.length === 0 || read.length === 0) return null;
  const name = (one: string): HTMLElement => h("span", {}, chipOf(hues.get(one)), h("bdi", { text: seen(one) }));
  const head = h("tr", {}, h("th", { scope: "col", text: "reader" }), ...read.map((one) => h("th", { scope: "col" }, name(one))));
  const rows = readers.map(({ name: reader, replies }) =>
    h("tr", {}, h("th", { scope: "row" }, name(reader), h("span", { class: "wl-pale", text: ` ${replies}×` })), ...read.map((one) => h("td", {}, ...cellOf(cell(reader, one), reader === one)))),
  );
  return h(
    "section",
    { class: "wl-room-part wl-matrix", "aria-label": "Who reads whom" },
    h("h3", { text: "Who reads whom" }),
    h("div", { class: "wl-wide-table", tabindex: 0, role: "group", "aria-label": "Who reads whom, as a table" }, h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows))),
    mostRead === null ? null : h("p", {}, "Most read by the others: ", h("b", {}, h("bdi", { text: seen(mostRead) })), "."),
    h("p", { class: "wl-hint", text: "Share of a reply's attention on that speaker's messages, and what its log-probability would lose without these reads (nats, first order). Means over the reader's replies." }),
  );
}

function cellOf(one: Numbers | null, own: boolean): (HTMLElement | string)[] {
  if (!one) return ["–"];
  return [h("span", { class: own ? "wl-pale" : "" }, figure(one.attention, percent(one.attention))), figure(one.lost_nats, signed(one.lost_nats), `wl-cell-nats ${signClass(one.lost_nats)}`.trim())];
}
