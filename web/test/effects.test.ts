import assert from "node:assert/strict";
import { test } from "node:test";
import { signal } from "@preact/signals-core";
import { follow, scope, whenEnded } from "../src/effects.ts";

test("an effect ends those that it began before it runs again", () => {
  const outer = signal(0);
  const inner = signal(0);
  const runs: string[] = [];
  const ends: number[] = [];
  follow(() => {
    const at = outer.value;
    whenEnded(() => ends.push(at));
    follow(() => {
      runs.push(`${at} ${inner.value}`);
    });
  });
  outer.value = 1;
  inner.value = 5; // the first inner effect is over: only one hears of it
  assert.deepEqual(runs, ["0 0", "1 0", "1 5"]);
  assert.deepEqual(ends, [0]);
});

test("nothing follows any more when a scope has ended", () => {
  const value = signal(0);
  const runs: number[] = [];
  const { result, end } = scope(() => {
    follow(() => {
      follow(() => {
        runs.push(value.value);
      });
    });
    return "made";
  });
  value.value = 1;
  end();
  value.value = 2;
  assert.equal(result, "made");
  assert.deepEqual(runs, [0, 1]);
});

test("what fails leaves no owner behind", () => {
  assert.throws(() => scope(() => { throw new Error("no"); }), /no/); // prettier-ignore
  const value = signal(0);
  let runs = 0;
  follow(() => {
    runs += 1 + value.value * 0;
  });
  value.value = 1;
  assert.equal(runs, 2);
});
