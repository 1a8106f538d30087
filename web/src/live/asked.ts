// What is asked of the model, as it travels in the address: text, target, weighing, cuts.

export type By = "gradient" | "frozen" | "share";
export type How = "drop" | "mask" | "splice";

export interface Asked {
  text: string;
  chat: boolean;
  by: By;
  /** How an edge is thought to be cut when it is weighed by gradient. */
  how: "drop" | "mask";
  target: string;
  versus: string;
  /** Cuts as the command line writes them: LAYERS.HEADS:SRC>DST, nodes ROW,POS. */
  cuts: string[];
  cutHow: How;
  spliceFrom: string;
}

export const NOTHING: Asked = {
  text: "",
  chat: false,
  by: "gradient",
  how: "drop",
  target: "",
  versus: "",
  cuts: [],
  cutHow: "mask",
  spliceFrom: "",
};

/** As parts of a fragment; what is as at the start is left out. */
export function askedFragment(asked: Asked): string {
  const given = new URLSearchParams();
  if (asked.text) given.set("text", asked.text);
  if (asked.chat) given.set("chat", "1");
  for (const name of ["by", "how", "target", "versus", "cutHow", "spliceFrom"] as const) {
    if (asked[name] !== NOTHING[name]) given.set(name, asked[name]);
  }
  if (asked.cuts.length > 0) given.set("cuts", asked.cuts.join(";"));
  return given.toString();
}

export function askedFrom(fragment: string): Asked {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const one = <T extends string>(name: string, accepted: readonly T[], start: T): T =>
    accepted.find((value) => value === given.get(name)) ?? start;
  return {
    text: given.get("text") ?? "",
    chat: given.get("chat") === "1",
    by: one("by", ["gradient", "frozen", "share"], NOTHING.by),
    how: one("how", ["drop", "mask"], NOTHING.how),
    target: given.get("target") ?? "",
    versus: given.get("versus") ?? "",
    cuts: (given.get("cuts") ?? "").split(";").filter(isCut).slice(0, 500),
    cutHow: one("cutHow", ["drop", "mask", "splice"], NOTHING.cutHow),
    spliceFrom: given.get("spliceFrom") ?? "",
  };
}

const CUT = /^[\d,*-]+\.[\d,*-]+:[\d,*-]+>[\d,*-]+$|^\d+,\d+$/;

export function isCut(text: string): boolean {
  return CUT.test(text);
}

/** A cut in words: which reads, or which node. */
export function cutWords(cut: string, labels: string[]): string {
  const name = (span: string): string => {
    if (span === "*") return "any token";
    return /^\d+$/.test(span) ? `${labels[Number(span)] ?? ""} (${span})` : `tokens ${span}`;
  };
  const node = /^(\d+),(\d+)$/.exec(cut);
  if (node) return `the node of ${name(node[2] ?? "")} at row ${node[1]}`;
  const match = /^([^.]+)\.([^:]+):([^>]+)>(.+)$/.exec(cut);
  if (!match) return cut;
  const [, layers = "", heads = "", src = "", dst = ""] = match;
  const layer = layers === "*" ? "all layers" : `layer ${layers}`;
  const head = heads === "*" ? "all heads" : `head ${heads}`;
  return `${name(dst)} reading ${name(src)}: ${layer}, ${head}`;
}

/** Whether two questions are of the same tokens. */
export function sameText(one: Pick<Asked, "text" | "chat">, other: Pick<Asked, "text" | "chat">): boolean {
  return one.text === other.text && one.chat === other.chat;
}

/** Whether two questions are of one picture; cuts lie over it. */
export function samePicture(one: Picture, other: Picture): boolean {
  return pictureKey(one) === pictureKey(other);
}

type Picture = Pick<Asked, "text" | "chat" | "by" | "how" | "target" | "versus">;

function pictureKey({ text, chat, by, how, target, versus }: Picture): string {
  const aims = by === "share" ? [] : [target, versus]; // a share asks about no target
  return JSON.stringify([text, chat, by, by === "gradient" ? how : null, ...aims]);
}

type Cuts = Pick<Asked, "cuts" | "cutHow" | "spliceFrom">;

/** Whether the same is cut in the same way. */
export function sameCuts(one: Cuts, other: Cuts): boolean {
  const key = ({ cuts, cutHow, spliceFrom }: Cuts): string => JSON.stringify([[...cuts].sort(), cutHow, cutHow === "splice" ? spliceFrom : ""]);
  return key(one) === key(other);
}

/** A splice of which the other text is not said yet: nothing can be run. */
export function isSpliceUntold({ cuts, cutHow, spliceFrom }: Cuts): boolean {
  return cuts.length > 0 && cutHow === "splice" && !spliceFrom;
}
