import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { chance, clipped, counted, percent, plain, signed, tokenName, visibleText } from "../src/format.ts";

const examples = JSON.parse(
  readFileSync(join(process.cwd(), "../tests/unit/views/visible.json"), "utf8"),
) as [string, string][];

test("every character of a token is shown, as Python shows it", () => {
  for (const [text, shown] of examples) assert.equal(visibleText(text), shown);
});

const names = JSON.parse(readFileSync(join(process.cwd(), "../tests/unit/views/names.json"), "utf8")) as [string, string][];

test("a predicted blank is named, as Python names it", () => {
  for (const [text, shown] of names) assert.equal(tokenName(text), shown);
});

test("a percentage never rounds up to all or down to nothing", () => {
  const shown = [0, 1, 0.8149, 0.0423, 0.9996, 0.00001, 0.995].map(percent);
  assert.deepEqual(shown, ["0 %", "100 %", "81 %", "4.2 %", ">99.9 %", "<0.1 %", "99.5 %"]);
});

test("weights carry their sign and three digits", () => {
  assert.deepEqual([0, 0.41234, -12.34, -3e-7].map(signed), ["0", "+0.412", "−12.3", "−3.00e−7"]);
  assert.deepEqual([139.2, 23509, -0.5].map(plain), ["139", "2.35e4", "−0.500"]);
});

test("probabilities, counts and clipped names", () => {
  assert.equal(chance(Math.log(0.5)), "50 %");
  assert.equal(counted(1, "edge"), "1 edge");
  assert.equal(counted(108300, "edge"), "108,300 edges");
  assert.equal(clipped("🚀🚀🚀", 2), "🚀…");
});
