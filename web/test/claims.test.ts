import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClaimsPicture, ClaimsVerdict } from "../src/claims.gen.ts";
import { layered } from "../src/claims/layering.ts";
import { comparison, comparisonWords, intervalWords, Records, safeUrl, short, tieWords, valueWords } from "../src/claims/records.ts";

const node = (id: string, type: ClaimsPicture["nodes"][number]["type"]) => ({ id, type, title: id, text: "", source: "", url: null });
const verdict = (changes: Partial<ClaimsVerdict>): ClaimsVerdict =>
  ({ claim: "a", verdict: "supported", quick: false, stale: null, unit: "of it", value: 0.5, low: 0.4, high: 0.6, date: "2026-01-01", ...changes }) as ClaimsVerdict;

const picture: ClaimsPicture = {
  schema: "worldline.claims/1",
  model: "tiny",
  nodes: [node("who", "thinker"), node("x", "concept"), node("y", "concept"), node("a", "claim"), node("b", "claim"), node("c", "claim")],
  edges: [
    { source: "who", type: "states", target: "a" },
    { source: "who", type: "states", target: "b" },
    { source: "a", type: "uses", target: "x" },
    { source: "a", type: "uses", target: "y" },
    { source: "b", type: "uses", target: "y" },
    { source: "a", type: "cites", target: "y" },
  ],
  verdicts: [
    verdict({ quick: true, verdict: "inconclusive" }),
    verdict({}),
    verdict({ stale: "changed", date: "2026-05-05", verdict: "refuted" }),
    verdict({ claim: "b", verdict: "measured" }),
  ],
};
const records = new Records(picture);

test("the full verdict that holds stands for a claim; the others stand beside it", () => {
  assert.deepEqual(records.verdicts("a").map(({ verdict: word }) => word), ["supported", "inconclusive", "refuted"]);
  assert.equal(records.verdict("c"), null);
  assert.deepEqual([...records.tally()], [["supported", 1], ["measured", 1], [null, 1]]);
});

test("neighbours come by type, those with the most edges first", () => {
  const found = records.neighbours("a");
  assert.deepEqual([...found.keys()].sort(), ["concept", "thinker"]);
  assert.deepEqual(found.get("concept")?.map(({ node: { id }, edges }) => [id, edges]), [["y", 3], ["x", 1]]);
  assert.equal(tieWords(found.get("concept")![0]!), "uses, cites");
  assert.equal(tieWords(found.get("thinker")![0]!), "stated by");
});

test("numbers and levels as they are read", () => {
  assert.equal(valueWords(verdict({})), "0.500 [0.400, 0.600] of it");
  assert.equal(intervalWords(verdict({ low: 0.5, high: 0.5 })), "exact");
  assert.equal(intervalWords(verdict({ low: null })), "[−∞, 0.600]");
  assert.equal(intervalWords(verdict({ low: null, high: null })), "");
  assert.equal(valueWords(verdict({ value: null })), "no number");
  assert.deepEqual(comparison("<= 1e-4"), { sign: "<=", level: 1e-4 });
  assert.equal(comparison("about 3"), null);
  assert.equal(comparisonWords(">= 0.9"), "≥ 0.9");
  assert.equal(comparisonWords("whatever"), "whatever");
  assert.deepEqual([0.8, 20, 100, 0, -0.25, 1.5e-6, 2e-6].map(short), ["0.8", "20", "100", "0", "−0.25", "1.5e−6", "2e−6"]);
});

test("only the web is linked to", () => {
  assert.equal(safeUrl("https://example.org"), "https://example.org");
  for (const wrong of ["javascript:alert(1)", " https://x", "data:text/html,x", "file:///x", null]) assert.equal(safeUrl(wrong), null);
});

test("the drawing is the same each time, inside its size, and nothing lies on anything", () => {
  const size = { width: 600, height: 300 };
  const found = layered(picture, new Set(), size);
  assert.deepEqual(layered(picture, new Set(), size), found);
  assert.deepEqual(found.columns.map(({ name }) => name), ["Sources", "Ideas", "Claims"]);
  assert.equal(new Set(found.nodes.map(({ x, y }) => `${x} ${y}`)).size, picture.nodes.length);
  for (const { x, y } of found.nodes) assert.ok(x >= 0 && x < 600 && y > 0 && y < 300);
  const without = layered(picture, new Set(["concept"]), size);
  assert.equal(without.columns.length, 2);
  assert.deepEqual(without.edges.map(({ type }) => type), ["states", "states"]);
});

test("many records make the drawing higher, not the rows closer than can be read", () => {
  const many = { ...picture, nodes: Array.from({ length: 60 }, (_, at) => node(`n${at}`, "claim")), edges: [] };
  const found = layered(many, new Set(), { width: 600, height: 300 });
  assert.ok(found.height > 300);
  assert.ok(found.pitch >= 17);
});
