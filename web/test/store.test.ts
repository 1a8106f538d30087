import assert from "node:assert/strict";
import { test } from "node:test";
import { change, clickOn, regroup, toStep, turnTour } from "../src/actions.ts";
import type { Scene } from "../src/scene.gen.ts";
import { Store } from "../src/store.ts";
import { LAST_STEP } from "../src/tour/steps.ts";

Object.assign(globalThis, { matchMedia: () => ({ matches: true, addEventListener: () => undefined }) });

const TEXTS = ["The", " sky", " is", " so"];
const FLOW = { in_positive: [], in_negative: [], out_positive: [], out_negative: [] };

function sceneOf(): Scene {
  return {
    text: TEXTS.join(""),
    model: { n_layers: 3, n_heads: 2, n_kv_heads: 1, d_model: 8 },
    tokens: TEXTS.map((text, pos) => ({ pos, id: pos, text, char_start: 0, char_end: 0, byte_start: 0, byte_end: 0, group: pos, special: false })),
    predictions: [{ token: " blue", id: 9, logprob: -1 }],
    attribution: { by: "gradient", target: { token: " blue", id: 9 }, versus: null, how: "zero", metric: null, formula: "w", unit: "logit", exactness: "first-order estimate" },
    edges: [
      { layer: 0, head: 1, src: 0, dst: 2, weight: 3 },
      { layer: 1, head: 0, src: 1, dst: 3, weight: -2 },
    ],
    coverage: { edges: 2, of: 36, share: 0.5, total: 10 },
    nodes: null,
    flow: null,
    paths: null,
    paths_left_out: "too long",
    altered: { cone: { layer: 0, pos: 0, responses: [{ through: "kv", relative: [[1, 0, 0, 0]] }] }, orders: { orders: [{ n_slices: 2, slices: [[0, 1, null, null]] }] } },
    groupings: [
      { name: "words", names: ["", ""], spans: [{ start: 0, end: 7 }, { start: 7, end: 13 }], group_of: [0, 0, 1, 1], edges: [{ layer: 0, src: 0, dst: 1, positive: 3, negative: -2 }], coverage: { edges: 1, of: 3, share: 1, total: 1 }, flow: FLOW, within_positive: 0, within_negative: 0 },
    ],
  } as unknown as Scene;
}

test("what is pointed at comes before the tour, and the tour before what is fixed", () => {
  const store = new Store(sceneOf(), { start: { node: { layer: 1, pos: 1 }, layer: 2 } });
  assert.deepEqual(store.light.value.focus, { layer: 1, pos: 1 });
  assert.equal(store.light.value.layer, 2);
  toStep(store, 1);
  assert.deepEqual(store.light.value.focus, { layer: 3, pos: 3 }); // the first step shows the last column's top
  assert.equal(store.light.value.fixed, null);
  assert.equal(store.light.value.layer, null);
  store.cursor.value = { layer: 2, pos: 0 };
  assert.deepEqual(store.light.value.focus, { layer: 2, pos: 0 });
  store.hover.value = { node: { layer: 0, pos: 2 } };
  assert.deepEqual(store.light.value.focus, { layer: 0, pos: 2 });
  assert.deepEqual(store.light.value.fixed, { layer: 1, pos: 1 });
  store.hover.value = { edge: store.ranked.value.all.edges[1]! };
  assert.equal(store.light.value.focus, null);
  assert.equal(store.light.value.edge?.src, 1);
});

test("a click fixes the node, or where an edge ends; columns take it along and forget what was pointed at", () => {
  const store = new Store(sceneOf(), {});
  clickOn(store, { edge: store.ranked.value.all.edges[1]! });
  assert.deepEqual(store.state.node, { layer: 2, pos: 3 });
  store.hover.value = { edge: store.ranked.value.all.edges[1]! };
  regroup(store, "words");
  assert.deepEqual(store.state.node, { layer: 2, pos: 1 });
  assert.equal(store.hover.value, null);
  assert.equal(store.selection.value.edges[0]?.weight, 1);
  clickOn(store, null);
  assert.equal(store.state.node, null);
});

test("what is chosen changes at once for whoever follows it", () => {
  const store = new Store(sceneOf(), {});
  const drawn: number[] = [];
  store.light.subscribe(({ selection }) => drawn.push(selection.edges.length));
  change(store, { n: 1, sink: false, theme: "light" }, "none");
  assert.deepEqual(drawn, [2, 1]);
  assert.equal(store.isDark.value, false);
  change(store, { theme: null }, "none");
  assert.equal(store.isDark.value, true);
  assert.deepEqual(drawn, [2, 1]); // a theme puts nothing else into the light
});

test("one altered run is painted at a time", () => {
  const store = new Store(sceneOf(), {});
  const overlay = () => store.light.value.overlay;
  assert.equal(overlay(), null);
  store.painting.value = { part: "cone", through: "kv" };
  assert.deepEqual(overlay()?.heat, [[1, null, null, null]]);
  assert.equal(overlay()?.firstRow, 0);
  store.painting.value = { part: "orders", at: 0, slice: 0 };
  assert.deepEqual(overlay()?.heat, [[1, null, null, null]]);
  assert.equal(overlay()?.firstRow, 0.5);
  store.painting.value = { part: "orders", at: 0, slice: 2 };
  assert.deepEqual(overlay()?.heat, [[0.1, 1, null, null]]);
});

test("the tour stays between its first step and its last, and ends after it", () => {
  const store = new Store(sceneOf(), { start: { columns: "words", node: { layer: 1, pos: 1 } } });
  toStep(store, 1);
  assert.equal(store.state.columns, "tokens");
  assert.equal(store.state.node, null);
  turnTour(store, -1);
  assert.equal(store.state.step, 1);
  toStep(store, 99);
  assert.equal(store.state.step, LAST_STEP);
  turnTour(store, 1);
  assert.equal(store.state.step, null);
});
