// What the Scene says about one node, one edge, one token: looked up, never computed.
import { clipped, count, signed, tokenName, visibleText } from "./format.ts";
import type { NodeRef } from "./layout.ts";
import type { Scene, SceneLens, SceneShares } from "./scene.gen.ts";
import type { RankedEdge } from "./select.ts";

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** The names of all columns: a piece of a character shows that character, numbered. */
export function tokenLabels(scene: Scene): string[] {
  const chars = Array.from(scene.text);
  const sizes = new Map<number, number>();
  for (const { group } of scene.tokens) sizes.set(group, (sizes.get(group) ?? 0) + 1);
  const seen = new Map<number, number>();
  return scene.tokens.map((token) => {
    if (sizes.get(token.group) === 1) return visibleText(token.text);
    const number = (seen.get(token.group) ?? 0) + 1;
    seen.set(token.group, number);
    const whole = chars.slice(token.char_start, token.char_end).join("") || token.text;
    const digits = Array.from(String(number), (digit) => SUPERSCRIPT[Number(digit)] ?? "").join("");
    return visibleText(whole) + digits;
  });
}

/** Where a node lies, in words. */
export function rowName(scene: Scene, layer: number): string {
  if (layer === 0) return "embedding, entering layer 0";
  if (layer === scene.model.n_layers) return `output of layer ${layer - 1}, read by the prediction`;
  return `between layer ${layer - 1} and layer ${layer}`;
}

export interface Inflow {
  positive: number;
  negative: number;
}

export interface NodeFacts {
  /** How far what is written here points one way, 0 to 1. */
  agree: number | null;
  norm: number | null;
  lens: SceneLens[] | null;
  shares: [keyof SceneShares, number][] | null;
  inflow: Inflow | null;
  outflow: Inflow | null;
}

const SHARE_NAMES: (keyof SceneShares)[] = ["skip", "mlp", "self_attention", "kv", "constants", "other"];

export const SHARE_LABELS: Record<keyof SceneShares, string> = {
  skip: "skip connection",
  mlp: "MLP",
  self_attention: "self attention",
  kv: "K/V reads",
  constants: "constants",
  other: "from elsewhere",
};

export function nodeFacts(scene: Scene, { layer, pos }: NodeRef): NodeFacts {
  const { nodes, flow } = scene;
  const shares = nodes?.shares;
  const inPositive = flow?.in_positive[layer - 1]?.[pos];
  const inNegative = flow?.in_negative[layer - 1]?.[pos];
  const outPositive = flow?.out_positive[layer]?.[pos];
  const outNegative = flow?.out_negative[layer]?.[pos];
  return {
    norm: nodes?.norm[layer]?.[pos] ?? null,
    lens: nodes?.lens?.[layer]?.[pos] ?? null,
    shares:
      shares && layer > 0
        ? SHARE_NAMES.flatMap((name) => {
            const row = shares[name]?.[layer - 1];
            return row ? [[name, row[pos] ?? 0] as [keyof SceneShares, number]] : [];
          })
        : null,
    agree: nodes?.writes_agree?.[layer - 1]?.[pos] ?? null,
    inflow: pair(inPositive, inNegative),
    outflow: pair(outPositive, outNegative),
  };
}

function pair(positive: number | undefined, negative: number | undefined): Inflow | null {
  return positive === undefined || negative === undefined ? null : { positive, negative };
}

/** What the weights measure, as half a sentence. */
export function asked(scene: Scene): string {
  const { by, target, versus, how, metric } = scene.attribution;
  if (by === "contribution") {
    return `share of the state it is written into${metric ? `, ${metric} metric` : ""}`;
  }
  const over = versus ? ` over “${clipped(tokenName(versus.token), 24)}”` : "";
  const cut = how ? ` if it were ${how === "zero" ? "zeroed" : "masked"}` : "";
  if (!target) return `effect on the target${cut}`;
  if (by === "frozen") {
    return `what all paths through it bring to “${clipped(tokenName(target.token), 24)}”${over}`;
  }
  return `what “${clipped(tokenName(target.token), 24)}”${over} would lose${cut}`;
}

/** Which heads an edge goes by; `short` as in a list. */
export function headsOf(edge: RankedEdge, short = false): string {
  if (edge.sums) return short ? "" : "all heads";
  return short ? `h${edge.head}` : `head ${edge.head}`;
}

/** One edge in words, for the screen reader. */
export function edgeWords(labels: string[], unit: string, edge: RankedEdge): string {
  const from = `${labels[edge.src]} (${edge.src})`;
  const to = `${labels[edge.dst]} (${edge.dst})`;
  return `Layer ${edge.layer}, ${headsOf(edge)}: ${from} to ${to}, ${signed(edge.weight)} ${unit}`;
}

/** What was added up, and how well it gives the nodes. */
export function closureWords(closure: Scene["closure_error"]): string {
  const { worst, layer, pos, tolerance, over, layers, n_nodes: some, of_nodes: all, seed } = closure;
  const error = `worst error ${worst.toExponential(1)} at layer ${layer}, position ${pos} (tolerance ${tolerance.toExponential(0)})`;
  if (over !== "sources") return `Every node is rebuilt from its terms, as the model added them; heads and sources were not added up; ${error}`;
  const nodes = layers === null ? "every node" : `${count(some)} of ${count(all)} nodes, those written by layers ${layers.join(", ")} (drawn, seed ${seed})`;
  return `Heads and sources add up at ${nodes}; ${error}`;
}
