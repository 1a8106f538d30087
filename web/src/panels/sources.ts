// Which tokens the answer depends on: what is lost when all reads of one token are cut, each in turn.
import { bar, type Child, chip, h, number, pointing, signClass } from "../dom.ts";
import { chance, clipped, readableText, signed, tokenName } from "../format.ts";
import { told, underWords } from "../precision.ts";
import type { ScenePrecision, SceneSources } from "../scene.gen.ts";
import type { Store } from "../store.ts";
import { runPart } from "./running.ts";

const LISTED = 6;

export function sourcesPanel(store: Store): HTMLElement {
  const { altered } = store;
  return h("section", {
    class: "wl-panel wl-sources",
    "aria-label": "Tokens the answer depends on",
    hidden: () => !altered.value.sources && !store.live,
    content: () => (altered.value.sources ? sourcesPart(store, altered.value.sources) : runPart("sources", store)),
  });
}

function sourcesPart(store: Store, part: SceneSources): Child[] {
  const places = part.change_nats.map((change, pos) => ({ pos, change, after: part.after[pos] ?? null }));
  const strongest = places.filter(({ after }) => after !== null).sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
  const most = Math.abs(strongest[0]?.change ?? 1) || 1;
  const precision = part.precision["change_nats"];
  const rows = strongest.map((place) => row(store, place, most, precision));
  const rest = rows.slice(LISTED);
  const target = chip(clipped(tokenName(part.target), 14));
  const powerless = strongest.some(({ pos }) => part.powerless.includes(pos));
  return [
    h("h2", {}, "What ", target, " depends on"),
    h("ol", { class: "wl-edges" }, ...rows.slice(0, LISTED)),
    ...(rest.length > 0 ? [h("details", { class: "wl-more" }, h("summary", { text: `${rest.length} more, down to the least` }), h("ol", { class: "wl-edges" }, ...rest))] : []),
    h("p", { class: "wl-hint", text: `nats that it loses without all reads of the token at once, in every layer and head (${part.how}); + is a loss: without the token the answer is less likely; − a gain. Each cut was run${powerless ? "; 0 is exact: no read of the token can reach the answer" : ""}. A strand is one of these reads, and can have the other sign` }),
    ...(precision ? [h("p", { class: "wl-hint", text: `– stands for ${underWords(precision, "nats")}` })] : []),
    ...(part.note === null ? [] : [h("p", { class: "wl-hint", text: readableText(part.note) })]),
  ];
}

type Place = { pos: number; change: number; after: SceneSources["after"][number] };

function row(store: Store, { pos, change, after }: Place, most: number, precision: ScenePrecision | undefined): HTMLElement {
  const lost = -change;
  const label = store.labels[pos] ?? "";
  const then = after ? `Then: ${tokenName(after.token)} ${chance(after.logprob)}` : "";
  return h(
    "li",
    { class: "wl-source", title: then, on: pointing(store.hover, { node: { layer: 0, pos } }) },
    h("span", { class: "wl-ends" }, chip(clipped(label, 18)), h("span", { class: "wl-pale wl-place", text: String(pos) })),
    cutButton(store.live?.onCut, `*.*:${pos}>*`, `Cut every read of ${label}`) ?? h("span"),
    told(change, precision) || change === 0
      ? number(lost, signed(lost), "source_lost_nats", signClass(lost))
      : number(lost, "–", "source_lost_nats"),
    bar((100 * Math.abs(change)) / most, lost < 0 ? "wl-less" : ""),
  );
}

/** A small button that cuts; nothing where nothing can be run. */
export function cutButton(onCut: ((cut: string) => void) | undefined, cut: string, words: string, text = "cut"): HTMLElement | null {
  if (!onCut) return null;
  return h("button", {
    type: "button",
    class: "wl-cut",
    text,
    title: words,
    "aria-label": words,
    on: { click: () => onCut(cut) },
  });
}
