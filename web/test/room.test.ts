import assert from "node:assert/strict";
import { test } from "node:test";
import { forks, lineTo, newestFrom } from "../src/room/line.ts";
import { flowsOf, HUES, huesOf, sharesOf, strandsOf, strongest, whoReadsWhom } from "../src/room/reading.ts";
import { piecesOf, seen } from "../src/room/spans.ts";
import { rowsOf } from "../src/room/story.ts";
import { byWords, told, written } from "../src/room/telling.ts";
import type { Body, Command, Event, Flow, Message, Notice, Outcome } from "../src/room/wire.ts";

const said = (who: string, shown = "words"): Message =>
  ({ kind: "message", who, text: shown, shown, borrowed: [], claims: [], reasoning: "", model: "m", temperature: 1, scripted: false, ending: "stop" }) as unknown as Message;
const notice = (code: string, about = 0): Notice => ({ kind: "notice", code, text: code, about, who: "", span: null });
const command = (message: number): Command => ({ kind: "command", message, who: "Ada", start: 0, end: 1, name: "image", arguments: ['a "cat"'] });
const outcome = (of: number): Outcome => ({ kind: "outcome", command: of, end: "done", reason: "here", result: {} });
const events = (...bodies: [number, Body][]): Event[] => bodies.map(([parent, body], at) => ({ number: at + 1, parent, time: 0, body }));

/** 1 Host, 2 Ada, 3 Bob; 4 another way from 2, 5 Bob there; 6 another way from 1. */
const TREE = events([0, said("Host")], [1, said("Ada")], [2, said("Bob")], [2, notice("branch", 2)], [4, said("Bob")], [1, notice("branch", 1)]);

test("the line to an event follows parents, and another branch stays out of it", () => {
  assert.deepEqual(lineTo(TREE, 5).map(({ number }) => number), [1, 2, 4, 5]);
  assert.deepEqual(lineTo(TREE, 3).map(({ number }) => number), [1, 2, 3]);
  assert.deepEqual(lineTo(TREE, 0), []);
  assert.deepEqual(lineTo(TREE, 99), []);
  assert.deepEqual(lineTo(events([1, said("Ada")]), 1), [], "an event cannot be its own parent");
});

test("what else went on from a line is found where it left, and followed to its newest end", () => {
  const found = forks(TREE, lineTo(TREE, 6));
  assert.deepEqual([...found].map(([at, others]) => [at, others.map(({ number }) => number)]), [[1, [2]]]);
  assert.equal(found.get(1)?.[0]?.first?.who, "Ada");
  assert.equal(forks(TREE, lineTo(TREE, 5)).get(1)?.[0]?.first, null);
  assert.deepEqual([...forks(TREE, lineTo(TREE, 5))].map(([at, others]) => [at, others.map(({ number }) => number)]), [[2, [3]], [1, [6]]]);
  assert.equal(newestFrom(TREE, 2), 5);
  assert.equal(newestFrom(TREE, 3), 3);
});

test("spans count code points and may lie over each other", () => {
  const pieces = piecesOf("😀ab😀cd", [{ start: 1, end: 4, mark: "x" }, { start: 3, end: 5, mark: "y" }, { start: 9, end: 12, mark: "z" }]);
  assert.deepEqual(pieces, [
    { text: "😀", marks: [] },
    { text: "ab", marks: ["x"] },
    { text: "😀", marks: ["x", "y"] },
    { text: "c", marks: ["y"] },
    { text: "d", marks: [] },
  ]);
  assert.deepEqual(piecesOf("", []), []);
  assert.deepEqual(piecesOf("ab", [{ start: 0, end: 2, mark: 1 }]), [{ text: "ab", marks: [1] }]);
});

test("what would turn or hide the rest of a text is seen; lines, joiners and marks stay", () => {
  assert.equal(seen("a\u202eb\u0000c\nd\te"), "a‹202E›b‹00›c\nd\te");
  assert.equal(seen("👩‍👩‍👧 שלום é"), "👩‍👩‍👧 שלום é");
});

test("a message has its commands, outcomes, remarks and flow; the rest is told in between", () => {
  const line = events(
    [0, { kind: "joined", name: "Ada", model: "m", persona: "", temperature: 1, invited_by: "", scripted: true }],
    [1, { kind: "setting", what: "muted", value: true, who: "Ada" }],
    [2, said("Ada")],
    [3, command(3)],
    [4, notice("near_miss", 3)],
    [5, outcome(4)],
    [6, { kind: "drawn", message: 3, flow: {}, reason: "a script" }],
    [7, notice("ended")],
  );
  const [quiet, message, end] = rowsOf(line, new Map());
  assert.ok(quiet?.kind === "quiet" && message?.kind === "said" && end?.kind === "quiet");
  assert.deepEqual(quiet.lines.map(({ text }) => text), ["Ada (m, scripted) joined", "Ada is silent"]);
  assert.deepEqual(message.holds, [3, 4, 5, 6, 7]);
  assert.equal(message.given[0]?.outcome?.end, "done");
  assert.equal(message.remarks[0]?.code, "near_miss");
  assert.equal(message.drawn?.reason, "a script");
  assert.deepEqual(end.lines.map(({ loud }) => loud), [true]);
  const kinds = rowsOf(lineTo(TREE, 5), forks(TREE, lineTo(TREE, 5))).map(({ kind }) => kind);
  assert.deepEqual(kinds, ["said", "fork", "said", "fork", "quiet", "said"]);
});

test("events in words", () => {
  assert.equal(written(command(1)), '!image "a "cat""');
  assert.equal(written({ ...command(1), name: "temperature", arguments: ["0.5"] }), "!temperature 0.5");
  assert.equal(told(outcome(4), new Map([[4, command(3)]])), 'Ada\'s !image "a "cat"": done, here');
  assert.equal(told({ kind: "budget", messages: 3, tokens: null, dollars: 0.5 }, new Map()), "the budget is 3 replies, 0.5 dollars");
  assert.equal(told({ kind: "budget", messages: null, tokens: null, dollars: null }, new Map()), "there is no budget");
  assert.equal(byWords("m", 0.4, false), "m · temperature 0.4");
  assert.equal(byWords("m", 0.4, true), "m · scripted");
  assert.equal(byWords("", null, false), "");
});

const flow = (own: number, ...rows: [number | null, string, number, number][]): Flow => {
  const speakers: Flow["speakers"] = {};
  for (const [, name, lost, attention] of rows) {
    const sums = (speakers[name] ??= { lost_nats: 0, attention: 0 });
    sums.lost_nats += lost;
    sums.attention += attention;
  }
  return { messages: rows.map(([event, speaker, lost_nats, attention]) => ({ event, speaker, lost_nats, attention })), speakers, own_attention: own };
};

test("flows: shares, strands, colours, and who reads whom", () => {
  const first = flow(0.2, [null, "", 1, 0.1], [1, "Host", -2, 0.3], [2, "Ada", 0.5, 0.1]);
  const second = flow(0.2, [1, "Host", 0.01, 0.1], [2, "Ada", 3, 0.2], [9, "Zed", 5, 0.1]);
  const line = events([0, said("Host")], [1, said("Ada")], [2, said("Bob")], [3, { kind: "drawn", message: 3, flow: first, reason: "" }], [4, said("Bob")], [5, { kind: "drawn", message: 5, flow: second, reason: "" }]);
  assert.deepEqual([...huesOf(line)], [["Host", HUES[0]], ["Ada", HUES[1]], ["Bob", HUES[2]]]);
  assert.deepEqual([...flowsOf(line).keys()], [3, 5]);
  assert.deepEqual(sharesOf(first).map(({ name, share }) => [name, Number(share.toFixed(3))]), [["Host", 0.75], ["Ada", 0.25]]);
  assert.equal(strongest(first)?.event, 1);
  const strands = strandsOf(line).map(({ reply, read }) => [reply, read.event]);
  assert.deepEqual(strands, [[3, 1], [3, 2], [5, 2]], "too thin ones and those to other branches are left out");
  const long = Array.from({ length: 60 }, (_, at) => [2 * at, said(at % 2 ? "Bob" : "Ada")] as [number, Body]);
  const talk = events(...long.flatMap(([parent, body], at): [number, Body][] => [
    [parent, body],
    [parent + 1, { kind: "drawn", message: 2 * at + 1, reason: "", flow: flow(0.2, ...long.slice(0, at).map(([before], n): [number, string, number, number] => [before + 1, "Ada", n + 1, 0.01])) }],
  ]));
  const strongestOf = strandsOf(talk).map(({ read }) => read.lost_nats);
  assert.equal(strongestOf.length, 1000, "of 1,770");
  assert.equal(Math.min(...strongestOf), 15, "990 are of 16 nats or more");
  const whom = whoReadsWhom(line);
  assert.deepEqual(whom.readers, [{ name: "Bob", replies: 2 }]);
  assert.deepEqual(whom.read, ["Host", "Ada", "Zed"]);
  assert.deepEqual(whom.cell("Bob", "Host"), { lost_nats: -0.995, attention: 0.2 });
  assert.equal(whom.cell("Host", "Bob"), null);
  assert.equal(whom.mostRead, "Host");
});
