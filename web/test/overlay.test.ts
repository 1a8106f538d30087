import assert from "node:assert/strict";
import { test } from "node:test";
import { coneHeat, hopStep, largest, orderHeat, orderHeatAt, sliceAfter, together } from "../src/overlay.ts";
import { severedWords } from "../src/panels/altered.ts";
import { needWords } from "../src/panels/hops.ts";
import { sliceWords } from "../src/panels/player.ts";
import type { SceneCone, SceneCut, SceneOrder } from "../src/scene.gen.ts";

function coneOf(relative: number[][]): SceneCone {
  return { responses: [{ through: "kv", relative, spread: relative }] } as unknown as SceneCone;
}

test("exact zeros stay unpainted, the largest is 1, a tenth is a third less", () => {
  const cone = coneOf([[0, 1e-2], [0, 1e-3]]);
  const heat = coneHeat(cone, "kv");
  assert.equal(heat[0]?.[0], null);
  assert.equal(heat[0]?.[1], 1);
  assert.ok(Math.abs((heat[1]?.[1] ?? 0) - 2 / 3) < 1e-12);
  assert.deepEqual(coneHeat(cone, "both"), []);
});

test("however small, what is not zero is painted; nothing at all is not", () => {
  assert.deepEqual(coneHeat(coneOf([[1e10, 5e-324, 0]]), "kv"), [[1, 0.06, null]]);
  assert.deepEqual(coneHeat(coneOf([[0, 0]]), "kv"), [[null, null]]);
  assert.equal(largest(coneOf([[0, 0]]), "kv"), 0);
  assert.equal(largest(coneOf([]), "kv"), 0);
});

test("orders are painted from first to last, and not where nothing ran", () => {
  const order = { n_slices: 3, slices: [[0, 1], [2, null]] } as unknown as SceneOrder;
  assert.deepEqual(orderHeat(order), [[0.1, 0.55], [1, null]]);
});

test("at one slice what ran is pale, what runs is strong, what comes or never runs is unpainted", () => {
  const order = { n_slices: 3, slices: [[0, 1, 1], [2, null, 2]] } as unknown as SceneOrder;
  const pale = orderHeatAt(order, 1)[0]?.[0] ?? 1;
  assert.ok(pale > 0 && pale < 0.5);
  assert.deepEqual(orderHeatAt(order, 0), [[1, null, null], [null, null, null]]);
  assert.deepEqual(orderHeatAt(order, 1), [[pale, 1, 1], [null, null, null]]);
  assert.deepEqual(orderHeatAt(order, 2), [[pale, pale, pale], [1, null, 1]]);
  assert.equal(sliceWords(order, 1), "slice 2 of 3, 2 blocks");
  assert.equal(sliceWords(order, 3), "whole run, 3 slices");
});

test("a run takes the same time however many slices it has", () => {
  for (const n of [1, 3, 149]) {
    assert.equal(sliceAfter(0, n), 0);
    assert.equal(sliceAfter(0.999, n), n - 1);
    assert.equal(sliceAfter(1, n), n);
    assert.equal(sliceAfter(7, n), n);
  }
  assert.equal(sliceAfter(-0.1, 5), 0);
});

test("hops become one of eight steps", () => {
  assert.equal(hopStep(null, 5), null);
  assert.equal(hopStep(0, 0), 0);
  assert.equal(hopStep(0, 5), 0);
  assert.equal(hopStep(5, 5), 7);
});

test("what is severed lies over the heat, and each can be taken off alone", () => {
  const cut = { edges: [{ layer: 0, head: null, src: 0, dst: 1 }], nodes: [] } as unknown as SceneCut;
  assert.equal(together(null, 0, null), null);
  assert.deepEqual(together([[1]], 0.5, null), { heat: [[1]], firstRow: 0.5, edges: [], nodes: [] });
  assert.deepEqual(together([[1]], 0, cut), { heat: [[1]], firstRow: 0, edges: cut.edges, nodes: [] });
  assert.deepEqual(together(null, 0, cut)?.edges, cut.edges);
});

test("hops in words", () => {
  assert.equal(needWords(null, null, 0), "the first token, which nothing predicts");
  assert.equal(needWords(null, null, 3), "more hops than the largest budget");
  assert.equal(needWords(1, 1, 3), "1 hop");
  assert.equal(needWords(0, 2, 3), "0 hops, close with 2");
});

test("what is drawn of a cut is said, and when nothing can be", () => {
  const edge = { layer: 0, head: 1, src: 0, dst: 1 };
  const cut = (edges: unknown[], nodes: unknown[]): SceneCut => ({ edges, nodes }) as unknown as SceneCut;
  assert.match(severedWords(cut([edge], [])), /^Drawn: 1 dashed line;/);
  assert.match(severedWords(cut([edge, edge], [{ layer: 1, pos: 1 }])), /^Drawn: 2 dashed lines, 1 crossed node;/);
  assert.match(severedWords(cut([], [])), /nothing can be drawn/);
});
