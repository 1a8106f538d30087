// Runs that never happened: hop budgets, cuts, a light cone, orders of execution.
import { type Child, chip, h, number, signClass } from "../dom.ts";
import { chance, count, counted, readableText, tokenName } from "../format.ts";
import { changeWords, sizeWords, told } from "../precision.ts";
import type { SceneCut } from "../scene.gen.ts";
import type { Store } from "../store.ts";
import { conePart, ordersPart } from "./heat.ts";
import { hopsPart } from "./hops.ts";
import { runPanel } from "./running.ts";
import type { Tab } from "./tabs.ts";

/** The altered runs that have a tab of their own. */
const PANELS = {
  cut: { tab: "cuts", title: "Cuts", label: "The cut", parts: (store: Store) => cutPart(store) },
  hops: { tab: "hops", title: "Hops", label: "Hop budgets", parts: (store: Store) => hopsPart(store) },
  cone: { tab: "cone", title: "Cone", label: "The light cone", parts: (store: Store) => conePart(store) },
  orders: { tab: "orders", title: "Orders", label: "Orders of execution", parts: (store: Store) => ordersPart(store) },
} as const;

/** A tab for each of them that there is or that can be run. */
export function alteredTabs(store: Store): Tab[] {
  const { live, altered } = store;
  const names = Object.keys(PANELS) as (keyof typeof PANELS)[];
  return names
    .filter((name) => live !== null || Boolean(altered.value[name]))
    .map((name) => {
      const { tab, title, label, parts } = PANELS[name];
      const content = (): Child[] => [
        name === "cut" ? live?.cutting : runPanel(name, store),
        h("section", { class: "wl-panel wl-altered", "aria-label": label, content: () => parts(store) }),
      ];
      return { name: tab, title, content };
    });
}

function cutPart({ altered, showsSevered }: Store): Child[] {
  const part = altered.value.cut;
  if (!part) return [];
  const drawable = part.edges.length + part.nodes.length > 0;
  const box = h("input", {
    type: "checkbox",
    disabled: !drawable,
    checked: () => drawable && showsSevered.value,
    on: { change: () => (showsSevered.value = box.checked) },
  });
  return [
    h("h3", { text: "Before and after the cut" }),
    ...part.words.map((words) => h("p", { class: "wl-hint wl-words", text: readableText(words) })),
    h("label", { class: "wl-choice" }, box, "Show what is severed"),
    h("p", { class: "wl-hint wl-words", text: severedWords(part) }),
    h(
      "table",
      { class: "wl-pair" },
      h("colgroup", {}, ...["wl-narrow", "", "wl-narrow", ""].map((name) => h("col", { class: name }))),
      h("thead", {}, h("tr", {}, ...["before", "after"].map((text) => h("th", { scope: "col", colspan: 2, text })))),
      h("tbody", {}, ...pairs(part).map(([one, two]) => h("tr", {}, ...guess(one, "prediction_before"), ...guess(two, "prediction_after")))),
    ),
    h(
      "p",
      { class: "wl-change" },
      "Log-probability of ",
      chip(tokenName(part.target)),
      ": ",
      number(part.target_before, nats(part.target_before), "target_nats"),
      ...(part.powerless === null ? changes(part) : [" nats, changed by exactly 0: the cut cannot change anything, "]),
      part.powerless === null ? "" : readableText(part.powerless),
    ),
    ...versus(part),
    ...(part.note === null ? [] : [h("p", { class: "wl-hint", text: readableText(part.note) })]),
  ];
}

function changes(part: SceneCut): (string | HTMLElement)[] {
  const { change_nats: change, kl_nats: kl, precision } = part;
  const known = precision["change_nats"];
  return [
    " to ",
    number(part.target_after, nats(part.target_after), "target_nats"),
    " nats, change ",
    number(change, changeWords(change, known, "nats"), "change_nats", told(change, known) ? signClass(change) : ""),
    "; KL ",
    number(kl, sizeWords(kl, precision["kl_nats"], "nats"), "kl_nats"),
  ];
}

/** The target held against another token, where one was named. */
function versus(part: SceneCut): HTMLElement[] {
  const { versus: other, logits_before: before, change_logits: change } = part;
  if (other === null || before === null || change === null) return [];
  const known = part.precision["change_logits"];
  return [
    h(
      "p",
      { class: "wl-change" },
      "Logit of ",
      chip(tokenName(part.target)),
      " less that of ",
      chip(tokenName(other)),
      ": ",
      number(before, nats(before), "versus_logits"),
      " to ",
      number(before + change, nats(before + change), "versus_logits"),
      ", change ",
      number(change, changeWords(change, known, "logits"), "change_logits", told(change, known) ? signClass(change) : ""),
    ),
  ];
}

function nats(value: number): string {
  return value.toFixed(3).replace("-", "−");
}

/** What the dashed lines stand for, or why there are none. */
export function severedWords(part: SceneCut): string {
  const { edges, nodes } = part;
  if (edges.length + nodes.length === 0) return "Nothing of it is listed edge by edge, so nothing can be drawn.";
  const lines = edges.length > 0 ? `${count(edges.length)} dashed ${edges.length === 1 ? "line" : "lines"}` : "";
  const crosses = nodes.length > 0 ? counted(nodes.length, "crossed node") : "";
  return `Drawn: ${[lines, crosses].filter(Boolean).join(", ")}; where all heads are cut, one line stands for them.`;
}

type Guess = SceneCut["before"][number] | undefined;

function pairs({ before, after }: SceneCut): [Guess, Guess][] {
  const rows = Math.max(before.length, after.length);
  return Array.from({ length: rows }, (_, at) => [before[at], after[at]]);
}

function guess(one: Guess, name: "prediction_before" | "prediction_after"): HTMLElement[] {
  if (!one) return [h("td"), h("td")];
  const shown = tokenName(one.token);
  return [h("td", {}, number(one.logprob, chance(one.logprob), name)), h("td", { title: shown }, chip(shown))];
}
