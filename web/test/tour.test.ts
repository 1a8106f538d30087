import assert from "node:assert/strict";
import { test } from "node:test";
import { tokenLabels } from "../src/facts.ts";
import { rank, select } from "../src/select.ts";
import type { Scene } from "../src/scene.gen.ts";
import { type Given, numbersIn, plainText } from "../src/tour/pieces.ts";
import { STEPS } from "../src/tour/steps.ts";

const L = 3;
const T = 4;
const grid = (at: (row: number, pos: number) => number, rows = L): number[][] =>
  Array.from({ length: rows }, (_, row) => Array.from({ length: T }, (_, pos) => at(row, pos)));

function sceneOf(changes: Partial<Scene> = {}): Scene {
  const texts = ["The", " sky", " is", " so"];
  const edges = [
    { layer: 0, head: 1, src: 0, dst: 2, weight: 3 },
    { layer: 1, head: 0, src: 1, dst: 3, weight: -2 },
    { layer: 2, head: 1, src: 2, dst: 3, weight: 0.5 },
  ];
  return {
    text: texts.join(""),
    model: { n_layers: L, n_heads: 2, n_kv_heads: 1, d_model: 8 },
    tokens: texts.map((text, pos) => ({ pos, id: pos, text, char_start: 0, char_end: 0, byte_start: 0, byte_end: 0, group: pos, special: false })),
    predictions: [{ token: " blue", id: 9, logprob: Math.log(0.25) }],
    attribution: { by: "gradient", target: { token: " blue", id: 9 }, versus: null, how: "zero", metric: null, formula: "w", unit: "logit", exactness: "first-order estimate" },
    edges,
    coverage: { edges: 3, of: 36, share: 0.55, total: 10 },
    nodes: {
      norm: grid((row, pos) => 10 * row + pos, L + 1),
      lens: null,
      shares: { skip: grid((row, pos) => 0.5 + row / 10 + pos / 100), mlp: grid(() => 0.2), self_attention: grid(() => 0.05), kv: grid(() => -0.01), constants: grid(() => 0), other: null },
      writes_agree: grid((row) => row / 10),
    },
    flow: null,
    paths: null,
    paths_left_out: "too long",
    altered: null,
    groupings: [],
    ...changes,
  } as unknown as Scene;
}

function given(scene: Scene, more: Partial<Given> = {}): Given {
  return { scene, labels: tokenLabels(scene), selection: select(rank(scene), 2, true), node: null, altered: {}, ...more };
}

const step = (n: number, with_: Given) => STEPS[n - 1]!(with_);
const values = (n: number, with_: Given): (number | string)[] => numbersIn(step(n, with_).text).map(({ value }) => value);
const image = (n: number, with_: Given): (number | string)[] => numbersIn(step(n, with_).image ?? []).map(({ value }) => value);

test("the numbers of every step are the Scene's", () => {
  const plain = given(sceneOf());
  assert.equal(STEPS.length, 12);
  assert.deepEqual(values(1, plain), [T, Math.log(0.25)]);
  assert.match(plainText(step(1, plain).text), /“·blue”, with a probability of 25 %/);
  assert.deepEqual(values(2, plain), [L, L * T]);
  assert.deepEqual(values(3, plain), [8]);
  assert.deepEqual(image(3, plain), [3, 33]); // the norms of the last column, at the bottom and at the top
  assert.deepEqual(values(4, plain), [36, 2, 0.5]);
  assert.deepEqual(values(5, plain), [2, 1]);
  assert.deepEqual(values(6, plain), [0.63, -0.01, 0.05, 0.2]); // the node (2, 3), where the strongest read ends
  assert.deepEqual(values(7, plain), [-2, 0.2]);
  assert.deepEqual(values(8, plain), [2, 0.5]);
  assert.deepEqual(values(9, plain), [0.1, 2, 3, -2]);
  assert.deepEqual(values(10, plain), [L * T, L]);
  assert.deepEqual(values(11, plain), [L * T * 1, L]);
  assert.deepEqual(values(12, plain), [3, 2]); // two of three reads take a state of row 1 or higher
});

test("the strongest read is not one of the first token, unless there is no other", () => {
  assert.deepEqual(step(7, given(sceneOf())).light.edge, sceneOf().edges[1]);
  const sink = sceneOf({ edges: sceneOf().edges.slice(0, 1) });
  assert.deepEqual(step(7, given(sink)).light.edge, sink.edges[0]);
  assert.match(plainText(step(7, given(sceneOf({ edges: [] }))).text), /single token/);
});

test("a fixed node is the one that is taken apart", () => {
  const chosen = given(sceneOf(), { node: { layer: 3, pos: 1 } });
  assert.deepEqual(values(6, chosen), [0.71, -0.01, 0.05, 0.2]);
  assert.deepEqual(step(6, chosen).light.node, { layer: 3, pos: 1 });
  const embedding = given(sceneOf(), { node: { layer: 0, pos: 1 } });
  assert.deepEqual(step(6, embedding).light.node, { layer: 2, pos: 3 });
});

test("no number, no image", () => {
  const bare = given(sceneOf({ nodes: null }));
  for (const n of [3, 6]) assert.equal(step(n, bare).image, null);
  for (const [at, make] of STEPS.entries()) {
    const made = make(bare);
    assert.ok(made.image === null || numbersIn(made.image).length > 0, `step ${at + 1}`);
    assert.ok(numbersIn(made.text).length > 0 || at === 5, `step ${at + 1}`);
  }
});

test("what was followed and run later is told", () => {
  const ends = { low: 0.3, high: 0.9 };
  const found = {
    ways: "20",
    effective: [{ normalise: "rows", of: "a walk", effective: 4.5, entropy_nats: 1.5 }],
    agreement: [{ grouping: "hop counts", coherence: 0.6, constructive: 8, destructive: 2, shuffled: ends, estimated: null, interval: "" }],
    paths: [{ weight: 1.5, hops: 1, nodes: [{ layer: 0, pos: 1 }, { layer: 1, pos: 3 }], reads: [{ layer: 0, head: 1 }], words: "" }],
  };
  const altered = {
    sources: { how: "mask", target: " blue", target_before: -1, change_nats: [-0.5, -2, 0.1, 0], precision: {}, powerless: [], note: null, after: [], reproduce: null },
    hops: { loss_full_nats: 2, curves: [{ sink: "counted", budgets: [0, 1], loss_nats: [9, 8] }, { sink: "free", budgets: [0, 1], loss_nats: [7, 3] }] },
    orders: { orders: [{ n_slices: 3 }, { n_slices: 7 }] },
  };
  const all = given(sceneOf({ paths: found as unknown as Scene["paths"] }), { altered: altered as unknown as Given["altered"] });
  assert.deepEqual(values(7, all), [-2, 0.2, 2, Math.exp(2)]);
  assert.match(plainText(step(7, all).text), /all reads of “·sky” are cut \(mask\)/);
  assert.deepEqual(values(8, all), ["20", 4.5, 1.5]);
  assert.deepEqual(image(8, all), ["20", 4.5]);
  assert.equal(step(8, all).run, undefined);
  assert.deepEqual(values(9, all), [8, 2, 0.6, 0.3, 0.9]);
  assert.deepEqual(values(10, all), [L * T, L, 2, 3, 7]);
  assert.deepEqual(values(12, all), [3, 2, 3, 2]);
});
