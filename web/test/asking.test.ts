import assert from "node:assert/strict";
import { test } from "node:test";
import { type Asked, askedFrom, NOTHING } from "../src/live/asked.ts";
import { Asking, type Noting } from "../src/live/asking.ts";
import { type Answered, NoAnswer } from "../src/live/server.ts";
import type { CutQuestion, Question } from "../src/question.gen.ts";
import type { Scene } from "../src/scene.gen.ts";

const A: Asked = { ...NOTHING, text: "a" };
const scene = (text: string): Scene => ({ text, tokens: [{}, {}], predictions: [] }) as unknown as Scene;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A server whose answers come when the test says so, late ones of stopped questions as well; a page that notes. */
class Bench {
  readonly asked: Question[] = [];
  readonly shown: string[] = [];
  readonly notes: string[] = [];
  cut: string | null = null;
  said = "";
  stopped = 0;
  private readonly open: { answer: (value: unknown) => void; fail: (error: Error) => void }[] = [];
  readonly asking: Asking;

  constructor(start: Asked = A) {
    this.asking = new Asking(
      start,
      {
        ask: <T>(question: Question) =>
          new Promise<Answered<T>>((resolve, reject) => {
            const id = `${this.asked.push(question)}`;
            this.open.push({ answer: (value) => resolve({ id, value: value as T }), fail: reject });
          }),
        cancel: () => (this.stopped += 1),
      },
      {
        stands: () => undefined,
        note: (how: Noting) => this.notes.push(`${how}: ${this.asking.asked.text} [${this.asking.asked.cuts.join(";")}]`),
        picture: (found) => {
          this.shown.push(found.text);
          this.cut = null; // a new picture begins without
        },
        alter: (parts) => {
          if ("cut" in parts) this.cut = parts.cut ? String(parts.cut) : null;
        },
        follow: () => this.shown.push("paths"),
        doing: () => undefined,
        quiet: (words = "") => (this.said = words),
      },
    );
  }

  async answer(value: unknown, n = this.asked.length): Promise<void> {
    this.open[n - 1]?.answer(value);
    await turn();
  }

  async fail(words: string): Promise<void> {
    this.open[this.asked.length - 1]?.fail(new NoAnswer(words, false));
    await turn();
  }

  /** A picture of `asked`, its sources there. */
  static async of(asked: Asked = A): Promise<Bench> {
    const bench = new Bench(asked);
    void bench.asking.ask(asked, "address");
    await bench.answer(scene(asked.text));
    await bench.answer({ sources: {} });
    return bench;
  }

  want(...cuts: string[]): void {
    void this.asking.cut({ cuts, cutHow: "mask", patchFrom: "" });
  }

  /** List, address, picture and exported file say the same. */
  agrees(...cuts: string[]): void {
    assert.deepEqual(this.asking.wanted.cuts, cuts);
    assert.deepEqual(this.asking.asked.cuts, cuts);
    assert.equal(this.cut, cuts.length > 0 ? cuts.join(";") : null);
    assert.equal(this.asking.ids.parts.has("cut"), cuts.length > 0);
    if (this.notes.length > 0) assert.match(this.notes.at(-1) ?? "", new RegExp(`\\[${cuts.join(";").replace(/[.*]/g, "\\$&")}\\]$`));
  }
}

test("a cut stands in the list at once, and in picture, address and file with its answer", async () => {
  const bench = await Bench.of();
  bench.want("*.*:0>*");
  assert.deepEqual(bench.asking.wanted.cuts, ["*.*:0>*"]);
  assert.deepEqual(bench.asking.asked.cuts, []);
  await bench.answer({ cut: "*.*:0>*" });
  bench.agrees("*.*:0>*");
});

test("clearing while a cut runs stops it, and its late answer is nobody's", async () => {
  const bench = await Bench.of();
  bench.want("*.*:0>*");
  bench.want();
  assert.equal(bench.stopped, 1);
  await bench.answer({ cut: "*.*:0>*" });
  bench.agrees();
});

test("undoing while a second cut runs leaves the first as it is", async () => {
  const bench = await Bench.of();
  bench.want("*.*:0>*");
  await bench.answer({ cut: "*.*:0>*" });
  bench.want("*.*:0>*", "1.0:0>1");
  bench.want("*.*:0>*");
  await bench.answer({ cut: "*.*:0>*;1.0:0>1" });
  bench.agrees("*.*:0>*");
  assert.equal(bench.asked.length, 4); // it was not run again
});

test("two quick cuts: the second answer counts, in whatever order they come", async () => {
  const bench = await Bench.of();
  bench.want("*.*:0>*");
  bench.want("*.*:0>*", "1.0:0>1");
  await bench.answer({ cut: "*.*:0>*;1.0:0>1" });
  await bench.answer({ cut: "*.*:0>*" }, 3);
  bench.agrees("*.*:0>*", "1.0:0>1");
});

test("a cut that is refused, or stopped, is nowhere", async () => {
  const bench = await Bench.of();
  bench.want("9.9:0>1");
  await bench.fail("layer 9: accepted are 0 to 2");
  assert.equal(bench.said, "layer 9: accepted are 0 to 2");
  bench.agrees();
  bench.want("*.*:0>*");
  bench.asking.stop();
  await bench.answer({ cut: "*.*:0>*" });
  bench.agrees();
});

test("cuts of an address that are cleared before they are run stay away", async () => {
  const bench = new Bench({ ...A, cuts: ["*.*:0>*"] });
  void bench.asking.ask(bench.asking.asked, "address");
  await bench.answer(scene("a"));
  assert.deepEqual(bench.asking.wanted.cuts, ["*.*:0>*"]);
  bench.want(); // while the sources are cut
  await bench.answer({ sources: {} });
  assert.deepEqual(bench.asked.map(({ ask }) => ask), ["trace", "cut"]);
  bench.agrees();
});

test("another target during a cut: the cut's answer is not drawn on the new picture", async () => {
  const bench = await Bench.of();
  bench.want("*.*:0>*");
  void bench.asking.ask({ ...bench.asking.asked, target: " b" });
  await bench.answer(scene("a"), 4);
  await bench.answer({ cut: "late" }, 3);
  await bench.answer({ sources: {} });
  bench.agrees();
  assert.equal((bench.asked.at(-1) as CutQuestion).target, " b");
});

test("a question that fails changes nothing: parts are asked of the text that is pictured", async () => {
  const bench = await Bench.of();
  void bench.asking.ask({ ...A, text: "b" });
  assert.equal(bench.asking.asked.text, "a");
  await bench.fail("no such thing");
  assert.equal(bench.asking.isElsewhere({ ...A, text: "b" }), true);
  void bench.asking.part("hops", { ask: "hops", max_hops: 2 });
  assert.equal(bench.asked.at(-1)?.text, "a");
  assert.deepEqual(bench.shown, ["a"]);
});

test("an address whose question fails is taken back", async () => {
  const bench = await Bench.of();
  void bench.asking.ask({ ...A, text: "b" }, "address");
  await bench.fail("no such thing");
  assert.equal(bench.notes.at(-1), "question: a []");
});

test("two questions in a row: the first answer is never shown", async () => {
  const bench = await Bench.of();
  void bench.asking.ask({ ...A, text: "b" });
  void bench.asking.ask({ ...A, text: "c" });
  await bench.answer(scene("c"), 4);
  await bench.answer(scene("b"), 3);
  assert.deepEqual(bench.shown, ["a", "c"]);
  assert.equal(bench.asking.asked.text, "c");
});

test("paths that come after another question was asked are not followed", async () => {
  const bench = await Bench.of();
  void bench.asking.paths();
  void bench.asking.ask({ ...A, text: "b" });
  await bench.answer({ paths: null, paths_left_out: "x" }, 3);
  assert.deepEqual(bench.shown, ["a"]);
});

test("a patch without its text runs nothing and takes the cut from the picture", async () => {
  const bench = await Bench.of();
  bench.want("*.*:0>*");
  await bench.answer({ cut: "*.*:0>*" });
  void bench.asking.cut({ cuts: ["*.*:0>*"], cutHow: "patch", patchFrom: "" });
  assert.equal(bench.cut, null);
  assert.equal(bench.asking.ids.parts.has("cut"), false);
  assert.match(bench.said, /another text/);
  assert.equal(bench.asked.length, 3);
});

test("which fields make another picture", async () => {
  const bench = await Bench.of();
  const elsewhere = (patch: Partial<Asked>): boolean => bench.asking.isElsewhere({ ...A, ...patch });
  assert.equal(elsewhere({}), false);
  for (const patch of [{ text: "a " }, { chat: true }, { by: "frozen" as const }, { how: "mask" as const }, { target: " x" }, { versus: " y" }]) {
    assert.equal(elsewhere(patch), true, JSON.stringify(patch));
  }
});

test("what is asked in other words keeps the cuts that are wanted, if it is of the same tokens", async () => {
  const bench = await Bench.of();
  bench.want("*.*:0>*"); // not answered yet
  void bench.asking.askInstead({ text: "a", chat: false, target: "x" });
  assert.deepEqual(bench.asking.wanted, { ...A, target: "x", cuts: ["*.*:0>*"] });
  void bench.asking.askInstead({ text: "a", chat: true });
  assert.deepEqual(bench.asking.wanted, { ...A, chat: true, target: "x" });
  void bench.asking.askInstead({ text: "b", chat: true });
  assert.deepEqual(bench.asking.wanted, { ...A, text: "b", chat: true, target: "x" });
});

test("a target is asked of the text that is pictured, with the cuts that are wanted there", async () => {
  const bench = await Bench.of();
  bench.want("*.*:0>*");
  assert.deepEqual(bench.asking.ofPicture.cuts, ["*.*:0>*"]);
  void bench.asking.askInstead({ text: "b", chat: false });
  assert.deepEqual(bench.asking.ofPicture, A);
});

test("an older address asks the same under the new names", () => {
  const asked = askedFrom("by=share&how=drop&cutHow=splice&spliceFrom=a");
  assert.deepEqual([asked.by, asked.how, asked.cutHow, asked.patchFrom], ["contribution", "zero", "patch", "a"]);
});
