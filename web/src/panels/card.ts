// The numbers of one node, for the tooltip and for the side panel.
import { bar, chip, h, number, signClass } from "../dom.ts";
import { type Inflow, nodeFacts, rowName, SHARE_LABELS } from "../facts.ts";
import { chance, clipped, plain, signed, tokenName } from "../format.ts";
import type { Columns } from "../grouping.ts";
import type { NodeRef } from "../layout.ts";

export function nodeTitle({ scene, labels, noun }: Columns, node: NodeRef): HTMLElement {
  return h(
    "div",
    { class: "wl-title" },
    chip(clipped(labels[node.pos] ?? "", 28)),
    h("span", { class: "wl-pale", text: `${noun} ${node.pos}` }),
    h("div", { class: "wl-pale", text: rowName(scene, node.layer) }),
  );
}

export function nodeCard({ scene, grouping, noun }: Columns, node: NodeRef): HTMLElement {
  const facts = nodeFacts(scene, node);
  const card = h("dl", { class: "wl-facts" });
  if (facts.inflow) card.append(...flowRows("in", facts.inflow, grouping ? `read from other ${noun}s` : "written here by K/V reads"));
  if (facts.lens && facts.lens.length > 0) {
    const guesses = h("dd", { class: "wl-lens" });
    for (const { token, logprob } of facts.lens) {
      guesses.append(
        h(
          "span",
          {},
          chip(clipped(tokenName(token), 14)),
          " ",
          number(logprob, chance(logprob), "lens"),
        ),
      );
    }
    card.append(h("dt", { text: "if decoded here" }), guesses);
  }
  if (facts.norm !== null) {
    const value = number(facts.norm, plain(facts.norm), "norm");
    card.append(h("dt", { text: "norm" }), h("dd", {}, value));
  }
  if (facts.agree !== null) {
    const value = number(facts.agree, facts.agree.toFixed(2), "writes_agree");
    const title = "|sum of writes| / sum of |writes|: every head, MLP, constants";
    card.append(h("dt", { text: "writes agree", title }), h("dd", {}, shareBar(facts.agree), value));
  }
  for (const [name, share] of facts.shares ?? []) {
    card.append(
      h("dt", { text: SHARE_LABELS[name] }),
      h("dd", {}, shareBar(share), number(share, share.toFixed(3).replace("-", "−"), name)),
    );
  }
  if (card.childElementCount === 0) {
    card.append(h("dt", { class: "wl-wide", text: `This file holds no numbers for single ${grouping ? `${noun}s` : "nodes"}.` }));
  }
  return card;
}

/** Constructive and destructive sums, and their net. */
export function flowRows(side: "in" | "out", flow: Inflow, words: string): HTMLElement[] {
  const net = flow.positive + flow.negative;
  const cell = (value: number, name: "positive" | "negative" | "net"): HTMLElement =>
    number(value, signed(value), `${side}_${name}`, signClass(value));
  return [
    h("dt", { class: "wl-wide", text: words }),
    h(
      "dd",
      { class: "wl-sums" },
      cell(flow.positive, "positive"),
      cell(flow.negative, "negative"),
      h("span", {}, "net ", cell(net, "net")),
    ),
  ];
}

/** What stays inside the groups and so is in no edge between them; null for tokens. */
export function insideNote({ grouping, noun }: Columns): HTMLElement | null {
  if (!grouping) return null;
  const { within_positive: positive, within_negative: negative } = grouping;
  return h(
    "p",
    { class: "wl-hint wl-inside" },
    `Reads that stay inside one ${noun} are in no strand: `,
    number(positive, signed(positive), "within_positive", signClass(positive)),
    " and ",
    number(negative, signed(negative), "within_negative", signClass(negative)),
    ".",
  );
}

function shareBar(share: number): HTMLElement {
  return bar(Math.min(100, Math.abs(share) * 100), share < 0 ? "wl-less" : "");
}
