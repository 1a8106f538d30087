// One record in full: what was tested, what was fixed beforehand, what came out, what it is tied to.
import { figure as numberOf, h } from "../dom.ts";
import { count, plain } from "../format.ts";
import type { ClaimsNode, ClaimsShown, ClaimsVerdict } from "../claims.gen.ts";
import { code } from "../panels/dialogs.ts";
import { chartOf } from "./figure.ts";
import { strip } from "./marks/strip.ts";
import { comparisonWords, intervalWords, type Neighbour, type NodeType, type Records, safeUrl, tieWords, typeWords, WORDS } from "./records.ts";
import { marks, wordMark } from "./word.ts";

export interface DetailEvents {
  onOpen(id: string | null): void;
  /** Ask the model for the text with these cuts; left out where nothing can be run. */
  onShow?: ((picture: ClaimsShown) => void) | undefined;
}

export function detail(records: Records, node: ClaimsNode, events: DetailEvents): HTMLElement {
  const close = h("button", { type: "button", class: "wl-close", "aria-label": "Close this record", title: "Close (Esc)", text: "×", on: { click: () => events.onOpen(null) } });
  const verdicts = node.type === "claim" ? records.verdicts(node.id) : [];
  const [first, ...others] = verdicts;
  return h(
    "article",
    { class: "wl-record", "aria-label": node.title, tabindex: -1 },
    close,
    h("p", { class: "wl-record-type", text: `${node.type} · ${node.id}` }),
    h("h3", { text: node.title }),
    h("p", { class: "wl-record-text", text: node.text }),
    sourceLine(node),
    ...(first ? verdictParts(first, events) : node.type === "claim" ? [h("p", { class: "wl-record-text" }, wordMark(null))] : []),
    ...others.map((one) => otherVerdict(one, events)),
    ...neighbourhood(records, node, events),
  );
}

function sourceLine({ source, url }: ClaimsNode): HTMLElement | null {
  const link = safeUrl(url);
  if (!source && !link) return null;
  const words = link ? h("a", { href: link, target: "_blank", rel: "noopener noreferrer", text: source || link }) : source;
  return h("p", { class: "wl-record-source" }, h("span", { class: "wl-pale", text: "Source: " }), words);
}

function section(title: string, ...children: (HTMLElement | null)[]): HTMLElement {
  return h("section", { class: "wl-record-part", "aria-label": title }, h("h4", { text: title }), ...children);
}

function verdictParts(one: ClaimsVerdict, events: DetailEvents): HTMLElement[] {
  return [
    section(
      "Verdict",
      h("p", { class: "wl-record-verdict" }, wordMark(one.verdict), ...marks(one)),
      one.stale === null ? null : h("p", { class: "wl-record-stale", text: `Stale: ${one.stale}` }),
      numberLine(one),
      strip(one),
      h("p", { class: "wl-record-text", text: one.reason }),
      one.says.length > 0 ? h("ul", { class: "wl-says-list" }, ...one.says.map((text) => h("li", { text }))) : null,
    ),
    section("Fixed beforehand", beforehand(one)),
    ...(one.figures.length > 0 ? [section("Figures", h("div", { class: "wl-claim-figures" }, ...one.figures.map(chartOf)))] : []),
    ...(one.picture ? [section("In the lattice", ...shown(one.picture, events))] : []),
    section("Run it again", code("Command line", one.command), runFacts(one)),
  ];
}

function numberLine(one: ClaimsVerdict): HTMLElement | null {
  if (one.value === null) return h("p", { class: "wl-pale", text: "There is no number." });
  const interval = intervalWords(one);
  return h(
    "p",
    { class: "wl-record-number" },
    numberOf(one.value, plain(one.value)),
    interval ? h("span", { text: interval === "exact" ? " (exact)" : ` ${interval}` }) : null,
    ` ${one.unit}`,
    h("span", { class: "wl-pale" }, " · ", numberOf(one.n, count(one.n)), ` ${one.counts}`),
  );
}

function beforehand({ metric, unit, support, refute }: ClaimsVerdict): HTMLElement {
  const rows: [string, string][] = [
    ["Measured", `${metric} (${unit})`],
    ...(support === null && refute === null
      ? ([["Decides", "a measurement: no number of it would support or refute"]] as [string, string][])
      : ([
          ["Supported if", support === null ? "never" : `the whole interval ${comparisonWords(support)}`],
          ["Refuted if", refute === null ? "never" : `the whole interval ${comparisonWords(refute)}`],
        ] as [string, string][])),
  ];
  return h("dl", { class: "wl-about wl-record-facts" }, ...rows.flatMap(([name, words]) => [h("dt", { text: name }), h("dd", { text: words })]));
}

function shown(picture: ClaimsShown, { onShow }: DetailEvents): HTMLElement[] {
  const cuts = picture.cuts.length > 0 ? ` Cut (${picture.how}): ${picture.cuts.join(" ")}.` : "";
  const target = picture.target === null ? "" : ` Why “${picture.target}”${picture.versus === null ? "" : ` over “${picture.versus}”`}.`;
  return [
    h("p", { class: "wl-record-text", text: picture.says }),
    h("p", { class: "wl-hint", text: `“${picture.text}”.${target}${cuts}` }),
    onShow
      ? h("button", { type: "button", class: "wl-run", text: "Show in the lattice", on: { click: () => onShow(picture) } })
      : h("p", { class: "wl-hint", text: "A page of worldline serve can run it: this file cannot." }),
  ];
}

function runFacts(one: ClaimsVerdict): HTMLElement {
  const rows = [["Model", one.model], ["Weights", one.weights_hash], ["Seed", String(one.seed)], ["Run", one.run], ["Date", one.date]];
  return h(
    "details",
    { class: "wl-claim-numbers" },
    h("summary", { text: "The run it is bound to" }),
    h("dl", { class: "wl-about wl-record-facts" }, ...rows.flatMap(([name, words]) => [h("dt", { text: name ?? "" }), h("dd", { text: words ?? "" })])),
  );
}

/** A quick verdict beside a full one, or one that no longer holds. */
function otherVerdict(one: ClaimsVerdict, events: DetailEvents): HTMLElement {
  return h(
    "details",
    { class: "wl-claim-numbers wl-other-verdict" },
    h("summary", {}, "Another verdict: ", wordMark(one.verdict), ...marks(one)),
    ...verdictParts(one, events),
  );
}

function neighbourhood(records: Records, node: ClaimsNode, events: DetailEvents): HTMLElement[] {
  const groups = [...records.neighbours(node.id)];
  if (groups.length === 0) return [];
  return [section("Tied to", ...groups.map(([type, found]) => neighbours(records, type, found, events)))];
}

function neighbours(records: Records, type: NodeType, found: Neighbour[], events: DetailEvents): HTMLElement {
  return h(
    "div",
    { class: "wl-neighbours" },
    h("h5", { text: `${typeWords(type, found.length)} (${found.length})` }),
    h(
      "ul",
      {},
      ...found.map((one) => {
        const verdict = one.node.type === "claim" ? (records.verdict(one.node.id)?.verdict ?? null) : undefined;
        const link = h("button", { type: "button", class: "wl-why", text: one.node.title, title: one.node.text, on: { click: () => events.onOpen(one.node.id) } });
        const ties = h("span", { class: "wl-pale", text: ` ${tieWords(one)} · ${one.edges} edge${one.edges === 1 ? "" : "s"}` });
        return h("li", {}, verdict === undefined ? null : wordMark(verdict), link, ties);
      }),
    ),
  );
}

/** What stands where no record is open: how verdicts come about, and what the shapes mean. */
export function introduction(records: Records): HTMLElement {
  const tally = records.tally();
  const words = [...WORDS, null].filter((word) => tally.has(word));
  return h(
    "div",
    { class: "wl-record" },
    h("h3", { text: "How a sentence becomes a verdict" }),
    h("p", { class: "wl-record-text", text: "Each claim has a wording that can be tested, a measured number, and two levels that were fixed before its first run: from one on it counts as supported, from the other as refuted." }),
    h("p", { class: "wl-record-text", text: "An experiment gives the number with its 95 % interval, and a rule that knows nothing of the claim compares the whole interval with both levels. Nobody writes a verdict by hand." }),
    h("p", { class: "wl-record-text", text: "Choose a claim to see what was tested, what came out, and the command that repeats it." }),
    h("ul", { class: "wl-legend-list" }, ...words.map((word) => h("li", {}, wordMark(word), h("span", { class: "wl-pale", text: MEANS[word ?? "none"] ?? "" })))),
  );
}

const MEANS: Record<string, string> = {
  supported: "the whole interval reached the level of support",
  qualified: "supported within bounds that the finding names",
  refuted: "the whole interval reached the level of refutation, or a law did not hold",
  inconclusive: "the interval reached neither level, or there were too few items",
  measured: "a number without a level: it decides nothing",
  "not testable here": "the finding says why",
  none: "no run on this model yet",
};
