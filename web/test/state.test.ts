import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bounds, fromFragment, START, type State, toFragment } from "../src/state.ts";

const bounds: Bounds = { columns: new Map([["tokens", 6], ["words", 3]]), nLayers: 30 };

test("a state survives the address", () => {
  const state: State = { n: 43, node: { layer: 30, pos: 5 }, sink: false, layer: 3, tab: "hops", columns: "tokens", theme: "dark", claim: "a&b=c", graph: true, step: 3 };
  assert.equal(toFragment(state), "n=43&node=30.5&sink=0&layer=3&tab=hops&theme=dark&claim=a%26b%3Dc&graph=1&step=3");
  assert.deepEqual(fromFragment(`#${toFragment(state)}`, bounds), state);
  const grouped: State = { ...START, node: { layer: 2, pos: 2 }, columns: "words" };
  assert.equal(toFragment(grouped), "node=2.2&columns=words");
  assert.deepEqual(fromFragment(toFragment(grouped), bounds), grouped);
  assert.equal(toFragment(START), "");
  assert.deepEqual(fromFragment("", bounds), START);
});

test("what an address says wrongly is as at the start", () => {
  const wrong = "#n=-3&node=31.0&layer=30&theme=pink&tab=%3Cb%3E&sink=yes&columns=turns&other=1&step=0&graph=yes&claim=";
  assert.deepEqual(fromFragment(wrong, bounds), START);
  assert.equal(fromFragment("#node=3.6", bounds).node, null);
  assert.equal(fromFragment("#node=3.3&columns=words", bounds).node, null);
  assert.equal(fromFragment("#node=__proto__.1", bounds).node, null);
});
