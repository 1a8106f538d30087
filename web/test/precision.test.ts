import assert from "node:assert/strict";
import { test } from "node:test";
import { changeWords, sizeWords, told } from "../src/precision.ts";

test("a change under the floor or the resolution is no number", () => {
  const half = { floor: 0.01, resolution: 0.06, dtype: "bfloat16" };
  const single = { floor: 2e-6, resolution: 1e-6, dtype: "float32" };
  assert.equal(changeWords(-0.006, half, "nats"), "< 0.06 nats (resolution of bfloat16)");
  assert.equal(changeWords(9e-7, single, "nats"), "< 2e−6 nats (floor)");
  assert.equal(changeWords(-0.25, half), "−0.250 (resolution of bfloat16 0.06)");
  assert.equal(changeWords(-0.5, single, "nats"), "−0.500 nats (floor 2e−6)");
  assert.equal(sizeWords(0.25, single), "0.250 (floor 2e−6)");
  assert.equal(changeWords(9e-7, undefined), "+9.00e−7");
  assert.ok(!told(0.06, half));
});
