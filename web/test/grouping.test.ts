import assert from "node:assert/strict";
import { test } from "node:test";
import { carried, columnsOf, offered, overlayOver, pathOver } from "../src/grouping.ts";
import type { Scene, ScenePath, SceneToken } from "../src/scene.gen.ts";
import { rank, select } from "../src/select.ts";

const TEXT = "The cap🎉 ital of";
const PIECES: [string, number, number][] = [
  ["<s>", 0, 0],
  ["The", 0, 3],
  [" cap🎉", 3, 8],
  [" ital", 8, 13],
  [" of", 13, 16],
];
const FLOW = { in_positive: [[0, 1, 2]], in_negative: [[0, 0, 0]], out_positive: [[3, 0, 0]], out_negative: [[0, 0, 0]] };
const scene = {
  text: TEXT,
  model: { n_layers: 1, n_heads: 2 },
  tokens: PIECES.map(([text, char_start, char_end], pos) => ({
    pos,
    id: pos,
    text,
    char_start,
    char_end,
    byte_start: 0,
    byte_end: 0,
    group: pos,
    special: pos === 0,
  })) as SceneToken[],
  edges: [{ layer: 0, head: 1, src: 1, dst: 3, weight: 9 }],
  coverage: { edges: 1, of: 20, share: 0.5, total: 18 },
  groupings: [
    {
      name: "words",
      group_of: [0, 1, 2, 2, 3],
      spans: [{ start: 0, end: 0 }, { start: 0, end: 3 }, { start: 4, end: 13 }, { start: 14, end: 16 }],
      names: [null, null, null, "user 0"],
      edges: [
        { layer: 0, src: 0, dst: 2, positive: 1, negative: -5 },
        { layer: 0, src: 1, dst: 3, positive: 2, negative: -0.5 },
      ],
      coverage: { edges: 2, of: 6, share: 0.8, total: 6.875 },
      flow: FLOW,
    },
  ],
} as unknown as Scene;

const tokens = columnsOf(scene, "tokens");
const words = columnsOf(scene, "words");

test("the tokens are the Scene itself, and what it lacks is the tokens", () => {
  assert.equal(tokens.scene, scene);
  assert.deepEqual(tokens.columnOf, [0, 1, 2, 3, 4]);
  assert.equal(columnsOf(scene, "turns").name, "tokens");
  assert.deepEqual([...offered(scene)], [["tokens", 5], ["words", 4]]);
});

test("columns are groups, named by their text, their own name or their tokens", () => {
  assert.deepEqual(words.labels, ["<s>", "The", "cap🎉 ital", "user 0"]);
  assert.deepEqual(words.scene.tokens.map(({ special }) => special), [true, false, false, false]);
  assert.equal(words.scene.flow, FLOW);
  assert.equal(words.scene.nodes, null);
});

test("a group edge weighs its net and keeps its two sums", () => {
  const selection = select(rank(words.scene), 1, true);
  assert.equal(selection.edges[0]?.weight, -4);
  assert.deepEqual(selection.edges[0]?.sums, { positive: 1, negative: -5 });
  assert.equal(selection.of, 6);
  assert.equal(selection.share, 4 / 6.875);
  assert.equal(select(rank(words.scene), 1, false).edges[0]?.weight, 1.5);
});

test("a node is carried from tokens to groups and back to the last token", () => {
  assert.deepEqual(carried({ layer: 1, pos: 2 }, tokens, words), { layer: 1, pos: 2 });
  assert.deepEqual(carried({ layer: 1, pos: 4 }, tokens, words), { layer: 1, pos: 3 });
  assert.deepEqual(carried({ layer: 0, pos: 2 }, words, tokens), { layer: 0, pos: 3 });
  assert.equal(carried(null, words, tokens), null);
});

test("a path keeps the reads that lead from group to group", () => {
  const path = {
    nodes: [
      { layer: 0, pos: 1 },
      { layer: 1, pos: 2 },
      { layer: 2, pos: 3 },
      { layer: 3, pos: 3 },
      { layer: 4, pos: 4 },
    ],
    reads: [
      { layer: 0, head: 0 },
      { layer: 1, head: 1 },
      { layer: 3, head: 2 },
    ],
  } as unknown as ScenePath;
  const found = pathOver(words, path);
  assert.deepEqual(found?.nodes.map(({ pos }) => pos), [1, 2, 2, 2, 3]);
  assert.deepEqual(found?.reads.map(({ layer }) => layer), [0, 3]);
  assert.equal(pathOver(tokens, path), path);
});

test("an overlay: the hottest token's heat, and edges between groups", () => {
  const edge = (src: number, dst: number) => ({ layer: 0, head: null, src, dst });
  const overlay = {
    heat: [[null, 0, 0.2, 0.9, null]],
    firstRow: 0,
    edges: [edge(1, 2), edge(2, 3)],
    nodes: [{ layer: 0, pos: 4 }],
  };
  const found = overlayOver(words, overlay);
  assert.deepEqual(found?.heat, [[null, 0, 0.9, null]]);
  assert.deepEqual(found?.edges, [edge(1, 2)]);
  assert.deepEqual(found?.nodes, [{ layer: 0, pos: 3 }]);
});
