import assert from "node:assert/strict";
import { test } from "node:test";
import {
  cullLabels,
  distanceTo,
  edgeSide,
  layoutOf,
  nodeAt,
  sideOf,
  trackOf,
  visibleColumns,
  xOf,
  yOf,
} from "../src/layout.ts";

const SIZE = { width: 1000, height: 700 };
const WHOLE = { k: 1, shift: 0 };

test("every node of every size lies on the stage", () => {
  for (const [tokens, layers] of [[1, 1], [6, 30], [300, 30], [1000, 126]] as const) {
    const layout = layoutOf(SIZE, tokens, layers, 9);
    for (const pos of [0, tokens - 1]) {
      assert.ok(xOf(layout, WHOLE, pos) > 0 && xOf(layout, WHOLE, pos) < SIZE.width);
    }
    assert.ok(yOf(layout, layers) > 0 && yOf(layout, 0) < SIZE.height);
    assert.ok(yOf(layout, layers) < yOf(layout, 0), "the embedding is at the bottom");
  }
});

test("a point on a node finds that node, a point between finds none", () => {
  const layout = layoutOf(SIZE, 6, 30, 9);
  for (const node of [{ layer: 0, pos: 0 }, { layer: 30, pos: 5 }, { layer: 12, pos: 3 }]) {
    const x = xOf(layout, WHOLE, node.pos);
    const y = yOf(layout, node.layer);
    assert.deepEqual(nodeAt(layout, WHOLE, x, y), node);
    assert.equal(nodeAt(layout, WHOLE, x + 30, y), null);
  }
});

test("zooming keeps what is under the pointer", () => {
  const layout = layoutOf(SIZE, 300, 30, 9);
  const zoom = { k: 8, shift: -2100 };
  const [first, last] = visibleColumns(layout, zoom);
  assert.ok(first > 0 && last < 299 && last - first < 60);
  const node = { layer: 7, pos: first + 10 };
  assert.deepEqual(nodeAt(layout, zoom, xOf(layout, zoom, node.pos), yOf(layout, 7)), node);
});

test("a strand starts in its row, ends in the next, and stays between", () => {
  const layout = layoutOf(SIZE, 6, 30, 9);
  for (let head = 0; head < 9; head += 1) {
    const track = trackOf(layout, WHOLE, { layer: 4, head, src: 1, dst: 3, weight: 1 });
    assert.equal(track.y0, yOf(layout, 4));
    assert.equal(track.y1, yOf(layout, 5));
    assert.ok(track.lane < track.y0 && track.lane > track.y1);
    assert.equal(distanceTo(track, (track.x0 + track.x1) / 2, track.lane), 0);
    assert.ok(distanceTo(track, track.x1 + 40, track.lane) >= 40 - 1e-9);
  }
});

test("the cones: one layer at a time, any distance to the right", () => {
  const node = { layer: 5, pos: 3 };
  assert.equal(sideOf(node, { layer: 4, pos: 0 }), "past");
  assert.equal(sideOf(node, { layer: 4, pos: 3 }), "past");
  assert.equal(sideOf(node, { layer: 5, pos: 2 }), "outside");
  assert.equal(sideOf(node, { layer: 6, pos: 9 }), "future");
  assert.equal(sideOf(node, { layer: 6, pos: 2 }), "outside");
  assert.equal(sideOf(node, node), "self");
  const edge = (layer: number, src: number, dst: number) => ({ layer, src, dst, head: 0, weight: 1 });
  assert.equal(edgeSide(node, edge(4, 0, 3)), "in");
  assert.equal(edgeSide(node, edge(5, 3, 4)), "out");
  assert.equal(edgeSide(node, edge(2, 0, 2)), "past");
  assert.equal(edgeSide(node, edge(7, 4, 6)), "future");
  assert.equal(edgeSide(node, edge(4, 0, 4)), "outside");
});

test("labels keep their distance, and the first wishes are granted", () => {
  const shown = cullLabels([50, 51, 99, 0], [0, 99], 17, (pos) => pos * 4);
  assert.ok(shown.includes(50) && shown.includes(99) && shown.includes(0) && !shown.includes(51));
  for (let at = 1; at < shown.length; at += 1) {
    assert.ok(((shown[at] ?? 0) - (shown[at - 1] ?? 0)) * 4 >= 17);
  }
});
