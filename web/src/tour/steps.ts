// The steps of the tour, each a function of the Scene: plain words, with this run's own numbers.
import { asked, nodeFacts } from "../facts.ts";
import { chance, clipped, count, percent, plain, signed, tokenName } from "../format.ts";
import type { NodeRef } from "../layout.ts";
import type { Heat } from "../overlay.ts";
import { routeWords, waysInWords } from "../paths.ts";
import type { SceneEdge, ScenePath } from "../scene.gen.ts";
import type { Given, Piece, TourNumber, TourStep } from "./pieces.ts";
import { told } from "../precision.ts";

const LONGEST_TOKEN = 18;
const CACHED = 0.35; // how strong the cache is painted
const SMALL = 5e-4;

const whole = (value: number): TourNumber => ({ value, shown: count(value) });
const token = (given: Given, pos: number): Piece => ({ token: clipped(given.labels[pos] ?? "", LONGEST_TOKEN) });

const columns = (given: Given): TourStep => {
  const { tokens, predictions } = given.scene;
  const [best] = predictions;
  const said: Piece[] = best
    ? [": ", { token: tokenName(best.token) }, ", with a probability of ", { value: best.logprob, shown: chance(best.logprob), name: "prediction" }]
    : [];
  return {
    title: "Your text in columns",
    text: [
      "A language model reads pieces of text called tokens. Yours are ",
      whole(tokens.length),
      ", one column for each, from left to right. The top of the last column, ",
      token(given, tokens.length - 1),
      ", says what may come next",
      ...said,
      ".",
    ],
    image: ["Think of a house with ", whole(tokens.length), " staircases side by side, one for each piece of your text."],
    light: { node: top(given) },
    claims: [],
  };
};

const layers = ({ scene }: Given): TourStep => {
  const { n_layers: nLayers } = scene.model;
  const blocks = nLayers * scene.tokens.length;
  return {
    title: "Layers, from the bottom up",
    text: [
      "Each row is a layer: ",
      whole(nLayers),
      " of them, from the embedding, which is all the model knows of a word at first, up to the prediction. A layer does one round of work for every column. For your text that makes ",
      whole(blocks),
      " blocks of work; the band marks one layer.",
    ],
    image: ["The house has ", whole(nLayers), " floors, and a room for every token on each: ", whole(blocks), " rooms."],
    light: { layer: Math.floor(nLayers / 2) },
    claims: [],
  };
};

const residual = (given: Given): TourStep => {
  const { scene } = given;
  const last = scene.tokens.length - 1;
  const { n_layers: nLayers, d_model: width } = scene.model;
  const low = scene.nodes?.norm[0]?.[last];
  const high = scene.nodes?.norm[nLayers]?.[last];
  const known = low !== undefined && high !== undefined;
  const size = (value: number): TourNumber => ({ value, shown: plain(value), name: "norm" });
  return {
    title: "The first highway: straight up",
    text: [
      "The vertical line of a column is its residual stream: ",
      whole(width),
      " numbers that hold what the model has made of this token so far. A layer does not replace them, it adds to them. So what was there below can still be there above, and this is the only way up.",
    ],
    image: known
      ? ["Like a rucksack carried up the stairs: each floor puts something in. On the last staircase it weighs ", size(low), " at the bottom and ", size(high), " at the top (the length of those numbers as one arrow)."]
      : null,
    light: { node: { layer: 0, pos: last } },
    claims: ["two-highways", "width-bottleneck"],
  };
};

const keyValue = (given: Given): TourStep => {
  const { scene, selection } = given;
  const edge = strongest(given);
  return {
    title: "The second highway: to the right",
    text: [
      "Columns meet in one way only. Inside a layer, a token may read what itself and earlier tokens left there, never later ones. Each strand is such a read of another token; together they are the K/V stream. Your text allows ",
      { value: scene.coverage.of, shown: count(scene.coverage.of), name: "all_edges" },
      " of them; the ",
      { value: selection.edges.length, shown: count(selection.edges.length), name: "drawn_edges" },
      " drawn now hold ",
      { value: selection.share, shown: percent(selection.share), name: "flow_share" },
      " of the flow.",
    ],
    image: ["Like pigeonholes along the corridor of each floor: a room leaves something, rooms further on may take a copy. This house has room for ", { value: scene.coverage.of, shown: count(scene.coverage.of), name: "all_edges" }, " copies."],
    light: edge ? { edge, layer: edge.layer } : {},
    claims: ["two-highways"],
  };
};

const queries = (given: Given): TourStep => {
  const { n_heads: heads, n_kv_heads: shelves } = given.scene.model;
  const edge = strongest(given);
  const example: Piece[] = edge ? [" In the read that is lit, the query is of ", token(given, edge.dst), ", key and value are of ", token(given, edge.src), "."] : [];
  return {
    title: "Key, value and query",
    text: [
      "Every token leaves two things in a layer: a key (K), by which it can be found, and a value (V), which is what a reader gets. A reader comes with a query (Q): what is looked for. The better Q fits a K, the more of that V is copied.",
      ...example,
      " In each layer ",
      whole(heads),
      ` head${heads === 1 ? "" : "s"} ask${heads === 1 ? "s" : ""} at once, of `,
      whole(shelves),
      ` set${shelves === 1 ? "" : "s"} of keys and values.`,
    ],
    image: ["Like looking for a book: K is what stands on its back, V what stands inside, Q what you came for. Here ", whole(heads), ` visitor${heads === 1 ? "" : "s"} of every room look through `, whole(shelves), ` shel${shelves === 1 ? "f" : "ves"}.`],
    light: edge ? { edge } : {},
    claims: ["keys-face-future", "queries-choose", "values-wide"],
  };
};

const oneNode = (given: Given): TourStep => {
  const { scene } = given;
  const node = chosen(given);
  const row = node.layer - 1;
  const shares = scene.nodes?.shares ?? null;
  const of = (name: "skip" | "kv" | "self_attention" | "mlp" | "constants" | "other"): TourNumber => {
    const value = shares?.[name]?.[row]?.[node.pos] ?? 0;
    return { value, shown: percent(value), name };
  };
  const rest = (["constants", "other"] as const).map(of).filter(({ value }) => Math.abs(Number(value)) >= SMALL);
  const parts: Piece[] = shares
    ? [
        of("skip"),
        " was carried up from below, ",
        of("kv"),
        " was read from other tokens, ",
        of("self_attention"),
        " from itself, and ",
        of("mlp"),
        " was worked out by the MLP, a small network that looks at this column alone",
        ...rest.flatMap((one): Piece[] => [", ", one, one.name === "constants" ? " are constants" : " came from elsewhere"]),
        ". The parts make up the whole; one below zero pulled the other way.",
      ]
    : ["this file holds no shares for single nodes. What is added in a layer is what was read (attention) and what the MLP, a small network that looks at this column alone, made of it."];
  const coins = (name: "skip" | "kv" | "mlp"): TourNumber => ({ ...of(name), shown: perHundred(Number(of(name).value)) });
  return {
    title: "What happens at one place",
    text: ["Look at ", token(given, node.pos), ` when layer ${row} has worked on it. Of what stands there, `, ...parts],
    image: shares
      ? ["Like a purse: of every 100 coins that leave this room, ", coins("skip"), " came up the stairs, ", coins("kv"), " through the corridor, ", coins("mlp"), " were earned in the room."]
      : null,
    light: { node },
    claims: ["block-order", "mlp-lossy"],
  };
};

const strongestRead = (given: Given): TourStep => {
  const { scene, altered } = given;
  const edge = strongest(given);
  if (!edge) return { title: "The strongest read", text: ["Your text has a single token: it has nobody to read from."], image: null, light: {}, claims: [] };
  const share = scene.coverage.total > 0 ? Math.abs(edge.weight) / scene.coverage.total : 0;
  const lost = worst(given);
  const tail: Piece[] =
    altered.sources && lost
      ? [
          " A single read is little. When all reads of ",
          token(given, lost.pos),
          ` are cut (${altered.sources.how}), `,
          { token: tokenName(altered.sources.target) },
          " loses ",
          { value: lost.nats, shown: plain(lost.nats), name: "source_lost_nats" },
          " nats: its probability is divided by ",
          { value: Math.exp(lost.nats), shown: plain(Math.exp(lost.nats)) },
          ".",
        ]
      : [];
  return {
    title: "Who reads whom in your text",
    text: [
      edge.src === 0 ? "The strongest read of this run: " : "The strongest read of any but the first token, where heads like to rest: ",
      `in layer ${edge.layer}, head ${edge.head}, `,
      token(given, edge.dst),
      " reads ",
      token(given, edge.src),
      ". Its weight is ",
      { value: edge.weight, shown: signed(edge.weight), name: "weight" },
      ` (${asked(scene)}; ${scene.attribution.exactness}), `,
      { value: share, shown: percent(share), name: "edge_share" },
      " of all flow in this run",
      ...signWords(scene, edge.weight),
      ".",
      ...tail,
    ],
    image: null,
    light: { edge },
    claims: [],
  };
};

/** What the sign of a read says, and of which question. */
function signWords({ attribution }: Given["scene"], weight: number): Piece[] {
  if (!attribution.target) return [];
  const target: Piece = { token: tokenName(attribution.target.token) };
  if (attribution.by !== "gradient") return [`: it ${weight < 0 ? "takes away from" : "brings to"} `, target, ", attention held as it was"];
  const cut = attribution.how === "mask" ? "masked" : "zeroed";
  return [": ", target, ` would ${weight < 0 ? "gain" : "lose"} if it alone were ${cut}`];
}

const paths = (given: Given): TourStep => {
  const { scene, selection } = given;
  const claims = ["path-count", "beyond-atoms", "skips-not-counted", "few-paths-carry"];
  const found = scene.paths;
  if (!found) {
    return {
      title: "How many ways there are",
      text: [
        "From a token to the prediction, information can go up and to the right in any order, and every order is a way of its own. The ways of your text were not followed yet",
        scene.paths_left_out ? ` (${scene.paths_left_out})` : "",
        ". What is known: the ",
        { value: selection.edges.length, shown: count(selection.edges.length), name: "drawn_edges" },
        " strongest single reads hold ",
        { value: selection.share, shown: percent(selection.share), name: "flow_share" },
        " of the flow.",
      ],
      image: null,
      light: {},
      run: "paths",
      claims,
    };
  }
  const ways: TourNumber = { value: found.ways, shown: waysInWords(found.ways), name: "ways" };
  const [few] = found.effective;
  const shown = found.paths.find(({ hops }) => hops > 0) ?? found.paths[0];
  const effective = (): TourNumber => ({ value: few?.effective ?? 0, shown: inEffect(few?.effective ?? 0), name: "effective" });
  return {
    title: "How many ways there are",
    text: [
      "From a token to the prediction, information can go up and to the right in any order, and every order is a way of its own: ",
      ways,
      ` way${found.ways === "1" ? "" : "s"} in your text.`,
      ...(few ? [" Most carry next to nothing: the flow is spread as if there were ", effective(), ` (${few.of}).`] : []),
      ...(shown ? strongestPath(given, shown) : []),
    ],
    image: few ? ["Like the streets of a town: ", ways, " routes on the map, traffic as on ", effective(), " of them."] : null,
    light: shown ? { path: shown } : {},
    claims,
  };
};

function strongestPath(given: Given, path: ScenePath): Piece[] {
  return [" The one that is lit goes ", routeWords(path, given.labels), " and brings ", { value: path.weight, shown: signed(path.weight), name: "path" }, "."];
}

const adding = (given: Given): TourStep => {
  const claims = ["interference", "redundancy", "deltas"];
  const title = "Adding and cancelling";
  const start = "Where ways meet, what they bring is added up, and a plus can cancel a minus. ";
  const agreement = given.scene.paths?.agreement.find(({ coherence }) => coherence !== null);
  if (agreement && agreement.coherence !== null) {
    const { coherence, constructive, destructive, shuffled, grouping } = agreement;
    const value: TourNumber = { value: coherence, shown: coherence.toFixed(2), name: "coherence" };
    const end = (one: number): TourNumber => ({ value: one, shown: one.toFixed(2), name: "coherence_interval" });
    return {
      title,
      text: [
        `${start}Grouped by ${grouping}, what adds comes to `,
        { value: constructive, shown: plain(constructive) },
        ", what takes away to ",
        { value: destructive, shown: plain(destructive) },
        ". Their coherence is ",
        value,
        ": 1 if all pull one way, 0 if all cancels.",
        ...(shuffled ? [" With signs thrown by lot it would be ", end(shuffled.low), " to ", end(shuffled.high), "."] : []),
      ],
      image: ["Like waves that meet: out of every 100 high, ", { value: coherence, shown: perHundred(coherence) }, " are left after they have met."],
      light: { node: top(given) },
      claims,
    };
  }
  const node = chosen(given);
  const { agree } = nodeFacts(given.scene, node);
  const drawn = given.selection.edges;
  const sums = signs(drawn);
  return {
    title,
    text: [
      start,
      "The ways themselves were not followed for this text. ",
      ...(agree === null
        ? []
        : ["At ", token(given, node.pos), ` after layer ${node.layer - 1}, heads and MLP pull one way by `, { value: agree, shown: agree.toFixed(2), name: "writes_agree" }, " (1: all together, 0: all cancels). "] as Piece[]),
      "Of the ",
      { value: drawn.length, shown: count(drawn.length), name: "drawn_edges" },
      ` read${drawn.length === 1 ? "" : "s"} drawn in this picture, those above zero come to `,
      { value: sums.positive, shown: signed(sums.positive) },
      ", those below to ",
      { value: sums.negative, shown: signed(sums.negative) },
      ".",
    ],
    image: null,
    light: { node },
    run: "paths",
    claims,
  };
};

const order = (given: Given): TourStep => {
  const { n_layers: nLayers } = given.scene.model;
  const nTokens = given.scene.tokens.length;
  const blocks = nLayers * nTokens;
  const ran = given.altered.orders?.orders ?? [];
  const slices = ran.map(({ n_slices: n }) => n);
  return {
    title: "The order is free",
    text: [
      "A block has to wait only for what it reads: its own column, and earlier columns, one layer below. Any order that keeps to this gives the same answer: layer by layer, token by token, or on the slant. Of your ",
      whole(blocks),
      " blocks no more than ",
      whole(nLayers),
      " have to wait for one another in a row, however long the text is.",
      ...(ran.length > 0 ? [" Here ", whole(ran.length), " orders were run, in ", whole(Math.min(...slices)), " to ", whole(Math.max(...slices)), " steps."] : []),
    ],
    image: ["Like cooking ", whole(blocks), " dishes where the longest recipe has ", whole(nLayers), " steps: with enough cooks it takes no more than those."],
    light: {},
    choices: [
      { name: "layer by layer", heat: painted(nLayers, nTokens, (layer) => layer / Math.max(1, nLayers - 1)) },
      { name: "token by token", heat: painted(nLayers, nTokens, (_, pos) => pos / Math.max(1, nTokens - 1)) },
      { name: "on the slant", heat: painted(nLayers, nTokens, (layer, pos) => (layer + pos) / Math.max(1, nLayers + nTokens - 2)) },
    ],
    claims: ["foliations", "depth-bound"],
  };
};

const memory = ({ scene }: Given): TourStep => {
  const { n_layers: nLayers, n_kv_heads: shelves } = scene.model;
  const kept = nLayers * scene.tokens.length * shelves;
  return {
    title: "What is kept: the cache",
    text: [
      "When the text goes on, nothing of this is computed again: the next token reads the keys and values that are there already. For your text that is ",
      whole(kept),
      " keys and as many values, from ",
      whole(nLayers),
      " layers. They are all that a later token has of this past; a cache from elsewhere would be another past, under the same words.",
    ],
    image: ["Like a diary of ", whole(kept), " entries: later days can look them up, but not change them."],
    light: { heat: painted(nLayers, scene.tokens.length, () => CACHED) },
    claims: ["cache-is-memory"],
  };
};

const introspection = (given: Given): TourStep => {
  const { scene, altered } = given;
  const inner = scene.edges.filter(({ layer }) => layer > 0).length;
  const curve = altered.hops?.curves.find(({ sink }) => sink === "free") ?? altered.hops?.curves[0];
  const at = curve?.budgets.indexOf(1) ?? -1;
  const loss = (value: number, name: "loss_nats" | "loss_full_nats"): TourNumber => ({ value, shown: value.toFixed(2), name });
  const used: Piece[] =
    altered.hops && curve && at >= 0
      ? [" For this text the loss is ", loss(curve.loss_nats[at] ?? 0, "loss_nats"), " nats per token if information may hop once, ", loss(altered.hops.loss_full_nats, "loss_full_nats"), " with any number of hops."]
      : [];
  return {
    title: "Looking inwards: three questions",
    text: [
      "Permitted? A later token reads not only earlier words but what the model had made of them: of the ",
      { value: scene.edges.length, shown: count(scene.edges.length), name: "listed_edges" },
      " strongest reads here, ",
      whole(inner),
      " take a state that at least one layer had worked on. Used? That is measured by taking it away.",
      ...used,
      " Reported? Whether the model can say in words what went on inside it is a third question, and this picture does not answer it.",
    ],
    image: null,
    light: lightOf(strongest(given)),
    claims: ["introspection-permitted", "introspection-used", "introspection-reported", "continuity"],
  };
};

/** All steps, in their order. */
export const STEPS: readonly ((given: Given) => TourStep)[] = [
  columns, layers, residual, keyValue, queries, oneNode, strongestRead, paths, adding, order, memory, introspection,
];

export const LAST_STEP = STEPS.length;

function top({ scene }: Given): NodeRef {
  return { layer: scene.model.n_layers, pos: scene.tokens.length - 1 };
}

/** The strongest read of another token than the first, which many heads use as a place to rest. */
export function strongest({ scene }: Given): SceneEdge | null {
  return scene.edges.find(({ src }) => src !== 0) ?? scene.edges[0] ?? null;
}

function lightOf(edge: SceneEdge | null): TourStep["light"] {
  return edge ? { edge } : {};
}

/** The fixed node, or else where the strongest read ends. */
function chosen(given: Given): NodeRef {
  if (given.node && given.node.layer > 0) return given.node;
  const edge = strongest(given);
  return edge ? { layer: edge.layer + 1, pos: edge.dst } : top(given);
}

/** The token whose reads cost the target the most when they are cut. */
function worst({ altered }: Given): { pos: number; nats: number } | null {
  const changes = altered.sources?.change_nats ?? [];
  const least = Math.min(...changes, 0);
  return told(least, altered.sources?.precision["change_nats"]) && least < 0 ? { pos: changes.indexOf(least), nats: -least } : null;
}

function signs(edges: readonly { weight: number }[]): { positive: number; negative: number } {
  const sum = (kept: (weight: number) => boolean): number => edges.reduce((all, { weight }) => (kept(weight) ? all + weight : all), 0);
  return { positive: sum((weight) => weight > 0), negative: sum((weight) => weight < 0) };
}

function painted(nLayers: number, nTokens: number, at: (layer: number, pos: number) => number): Heat {
  return Array.from({ length: nLayers }, (_, layer) => Array.from({ length: nTokens }, (_, pos) => 0.1 + 0.9 * at(layer, pos)));
}

function perHundred(share: number): string {
  return (share * 100).toFixed(1).replace(/\.0$/, "").replace("-", "−");
}

function inEffect(value: number): string {
  return value < 1e6 ? value.toLocaleString("en", { maximumFractionDigits: 1 }) : value.toExponential(2);
}
