import assert from "node:assert/strict";
import { test } from "node:test";
import type { Scene } from "../src/scene.gen.ts";
import { available, countAt, firstCount, placeOf, rank, select } from "../src/select.ts";

const weights = [-8, 4, 2, -1, 1];
const scene = {
  edges: weights.map((weight, at) => ({ layer: 0, head: 0, src: at === 0 ? 0 : 1, dst: 2, weight })),
  coverage: { edges: 5, of: 100, share: 0.8, total: 20 },
} as unknown as Scene;

test("the strongest n hold their part of the whole run's flow", () => {
  const ranked = rank(scene);
  assert.equal(select(ranked, 0, true).share, 0);
  assert.equal(select(ranked, 2, true).share, 0.6);
  assert.equal(select(ranked, 99, true).share, 0.8);
  assert.equal(select(ranked, 99, true).edges.length, 5);
  assert.equal(select(ranked, 2, true).strongest, 8);
});

test("without column 0 the next strongest take its place", () => {
  const ranked = rank(scene);
  assert.equal(available(ranked, false), 4);
  const selection = select(ranked, 1, false);
  assert.equal(selection.edges[0]?.weight, 4);
  assert.equal(selection.edges[0]?.rank, 1);
  assert.equal(selection.share, 0.2);
});

test("the slider reaches every end and comes back to the same count", () => {
  for (const most of [1, 2, 43, 2000]) {
    assert.equal(countAt(0, most), 0);
    assert.equal(countAt(1, most), most);
    for (const n of [1, Math.ceil(most / 2), most]) assert.equal(countAt(placeOf(n, most), most), n);
  }
  assert.equal(countAt(1, 0), 0);
  assert.equal(placeOf(3, 0), 0);
});

test("the first picture is neither bare nor more than there is", () => {
  assert.equal(firstCount(rank(scene), true, 3), 5);
  assert.equal(firstCount(rank({ ...scene, edges: [] }), true, 3), 0);
});
