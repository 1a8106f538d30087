import assert from "node:assert/strict";
import { test } from "node:test";
import { routeWords, waysInWords } from "../src/paths.ts";

test("a count of paths is written out while it can be read", () => {
  assert.equal(waysInWords("20"), "20");
  assert.equal(waysInWords("25518731280"), "25,518,731,280");
  assert.equal(waysInWords("12345678901234567890"), "1.23e19");
});

test("a path is told by its reads, not by its rows", () => {
  const node = (layer: number, pos: number) => ({ layer, pos });
  const path = {
    weight: 1,
    hops: 2,
    words: "",
    nodes: [node(0, 1), node(1, 1), node(2, 3), node(3, 4)],
    reads: [
      { layer: 1, head: 5 },
      { layer: 2, head: null },
    ],
  };
  const labels = ["a", "b", "c", "d", "e"];
  assert.equal(routeWords(path, labels), "b (1) → L1 h5 → d (3) → L2 → e (4)");
});
