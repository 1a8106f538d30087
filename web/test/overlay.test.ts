import assert from "node:assert/strict";
import { test } from "node:test";
import { coneHeat, hopStep, orderHeat } from "../src/overlay.ts";
import type { SceneCone, SceneOrder } from "../src/scene.gen.ts";

test("exact zeros stay unpainted, the largest is 1, a tenth is a third less", () => {
  const relative = [[0, 1e-2], [0, 1e-3]];
  const cone = { responses: [{ through: "kv", relative, spread: relative }] } as unknown as SceneCone;
  const heat = coneHeat(cone, "kv");
  assert.equal(heat[0]?.[0], null);
  assert.equal(heat[0]?.[1], 1);
  assert.ok(Math.abs((heat[1]?.[1] ?? 0) - 2 / 3) < 1e-12);
  assert.deepEqual(coneHeat(cone, "both"), []);
});

test("orders are painted from first to last, and not where nothing ran", () => {
  const order = { n_slices: 3, slices: [[0, 1], [2, null]] } as unknown as SceneOrder;
  assert.deepEqual(orderHeat(order), [[0.1, 0.55], [1, null]]);
});

test("hops become one of eight steps", () => {
  assert.equal(hopStep(null, 5), null);
  assert.equal(hopStep(0, 0), 0);
  assert.equal(hopStep(0, 5), 0);
  assert.equal(hopStep(5, 5), 7);
});
