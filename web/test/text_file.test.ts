import assert from "node:assert/strict";
import { test } from "node:test";
import { textFile } from "../src/panels/exports.ts";
import type { Scene } from "../src/scene.gen.ts";

const scene = (file: string | null, words: string[] = []): Scene =>
  ({ text: "long\n", reproduce: { recipe: { words, text: { file, before: "\ufeff", after: "\n" } } } }) as unknown as Scene;

test("a text is saved as the file that its recipe reads, to the byte", () => {
  assert.deepEqual(textFile(scene("text-1.txt")), { content: "\ufefflong\n\n", name: "text-1.txt" });
  assert.deepEqual(textFile(scene(null)), { content: "long\n", name: null });
  assert.deepEqual(textFile(scene("text-1.txt", ["--chat"])), { content: "long\n", name: null });
});
