import assert from "node:assert/strict";
import { test } from "node:test";
import { START } from "../src/state.ts";
import { chosenOf, hostTheme, readChosen } from "../src/widget.ts";

const bounds = { nTokens: 6, nLayers: 30 };
const untouched = { node: null, layer: null, n: null, sink: true, n_drawn: null };

test("what is chosen survives the way to Python and back", () => {
  const state = { ...START, n: 43, node: { layer: 30, pos: 5 }, sink: false, layer: 3 };
  const chosen = chosenOf(state, 41);
  assert.deepEqual(chosen, { node: { layer: 30, pos: 5 }, layer: 3, n: 43, sink: false, n_drawn: 41 });
  assert.deepEqual(readChosen(JSON.parse(JSON.stringify(chosen)), bounds), chosen);
  assert.deepEqual(chosenOf(START, null), untouched);
  assert.deepEqual(chosenOf({ ...state, columns: "words" }, 41), { ...untouched, sink: false, layer: 3 });
});

test("the order of the fields does not make it another choice", () => {
  const mixed = { n_drawn: 9, sink: true, layer: 2, n: null, node: { pos: 1, layer: 4 } };
  const plain = { node: { layer: 4, pos: 1 }, layer: 2, n: null, sink: true, n_drawn: 9 };
  assert.equal(JSON.stringify(readChosen(mixed, bounds)), JSON.stringify(plain));
});

test("what this Scene does not hold is as at the start", () => {
  for (const wrong of [undefined, null, {}, "all", 3, [], { node: { layer: 31, pos: 0 } }, { node: 3 }]) {
    assert.deepEqual(readChosen(wrong, bounds), untouched);
  }
  const wrong = { node: { layer: 3, pos: 6 }, layer: 30, n: -1, sink: "no", n_drawn: 1.5 };
  assert.deepEqual(readChosen(wrong, bounds), untouched);
  assert.equal(readChosen({ n: "43" }, bounds).n, null);
});

test("the notebook's theme is read where it says one", () => {
  const theme = (className: string, dataset: DOMStringMap = {}) => hostTheme({ className, dataset });
  assert.equal(theme(""), null);
  assert.equal(theme("darkroom lightning"), null);
  assert.equal(theme("", { jpThemeLight: "false" }), "dark");
  assert.equal(theme("dark", { jpThemeLight: "true" }), "light");
  assert.equal(theme("", { vscodeThemeKind: "vscode-dark" }), "dark");
  assert.equal(theme("vscode-light other"), "light");
  assert.equal(theme("dark"), "dark");
  assert.equal(theme("", { theme: "dark" }), "dark");
});
