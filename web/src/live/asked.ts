// What is asked of the model, as it travels in the address: text, target, attribution, cuts.
import { EDGE_PATTERN, NODE_PATTERN } from "../question.gen.ts";

export type By = "gradient" | "frozen" | "contribution";
export type How = "zero" | "mask" | "patch";

export interface Asked {
  text: string;
  chat: boolean;
  by: By;
  /** How an edge is thought to be cut when it is attributed by gradient. */
  how: "zero" | "mask";
  target: string;
  versus: string;
  /** Cuts as the command line writes them: LAYERS.HEADS:SRC>DST, nodes ROW,POS. */
  cuts: string[];
  cutHow: How;
  patchFrom: string;
}

export const NOTHING: Asked = {
  text: "",
  chat: false,
  by: "gradient",
  how: "zero",
  target: "",
  versus: "",
  cuts: [],
  cutHow: "mask",
  patchFrom: "",
};

/** As parts of a fragment; what is as at the start is left out. */
export function askedFragment(asked: Asked): string {
  const given = new URLSearchParams();
  if (asked.text) given.set("text", asked.text);
  if (asked.chat) given.set("chat", "1");
  for (const name of ["by", "how", "target", "versus", "cutHow", "patchFrom"] as const) {
    if (asked[name] !== NOTHING[name]) given.set(name, asked[name]);
  }
  if (asked.cuts.length > 0) given.set("cuts", asked.cuts.join(";"));
  return given.toString();
}

/** Values of older addresses: accepted for one release. */
const RENAMED: Record<string, string> = { share: "contribution", drop: "zero", splice: "patch" };

export function askedFrom(fragment: string): Asked {
  const given = new URLSearchParams(fragment.replace(/^#/, ""));
  const one = <T extends string>(name: string, accepted: readonly T[], start: T): T => {
    const value = given.get(name) ?? "";
    return accepted.find((known) => known === (RENAMED[value] ?? value)) ?? start;
  };
  return {
    text: given.get("text") ?? "",
    chat: given.get("chat") === "1",
    by: one("by", ["gradient", "frozen", "contribution"], NOTHING.by),
    how: one("how", ["zero", "mask"], NOTHING.how),
    target: given.get("target") ?? "",
    versus: given.get("versus") ?? "",
    cuts: (given.get("cuts") ?? "").split(";").filter(isCut).slice(0, 500),
    cutHow: one("cutHow", ["zero", "mask", "patch"], NOTHING.cutHow),
    patchFrom: given.get("patchFrom") ?? given.get("spliceFrom") ?? "",
  };
}

export function isCut(text: string): boolean {
  return EDGE_PATTERN.test(text) || NODE_PATTERN.test(text);
}

/** A cut in words: which reads, or which node. */
export function cutWords(cut: string, labels: string[]): string {
  const name = (span: string): string => {
    if (span === "*") return "any token";
    return /^\d+$/.test(span) ? `${labels[Number(span)] ?? ""} (${span})` : `tokens ${span}`;
  };
  const node = NODE_PATTERN.exec(cut);
  if (node) return `the node of ${name(node[2] ?? "")} at row ${node[1]}`;
  const match = EDGE_PATTERN.exec(cut);
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
  const aims = by === "contribution" ? [] : [target, versus]; // a contribution asks about no target
  return JSON.stringify([text, chat, by, by === "gradient" ? how : null, ...aims]);
}

type Cuts = Pick<Asked, "cuts" | "cutHow" | "patchFrom">;

/** Whether the same is cut in the same way. */
export function sameCuts(one: Cuts, other: Cuts): boolean {
  const key = ({ cuts, cutHow, patchFrom }: Cuts): string => JSON.stringify([[...cuts].sort(), cutHow, cutHow === "patch" ? patchFrom : ""]);
  return key(one) === key(other);
}

/** A patch of which the other text is not said yet: nothing can be run. */
export function isPatchUntold({ cuts, cutHow, patchFrom }: Cuts): boolean {
  return cuts.length > 0 && cutHow === "patch" && !patchFrom;
}
