import assert from "node:assert/strict";
import { test } from "node:test";
import { huesOf, Known, lineOf, otherBranches, partsOf, sharesOf, told, whoReadsWhom } from "../src/room/line.ts";
import type { Body, MessageBody, RoomEvent } from "../src/room/wire.ts";
import { nats, webAddress } from "../src/room/words.ts";

const message = (who: string, shown: string, changes: Partial<MessageBody> = {}): MessageBody => ({
  kind: "message", who, text: shown, shown, borrowed: [], claims: [], model: "m", temperature: 1, scripted: true, ending: "stop", ...changes,
});
const events = (...bodies: [number, Body][]): RoomEvent[] => bodies.map(([parent, body], at) => ({ number: at + 1, parent, time: 0, body }));

const branched = events(
  [0, message("Ada", "one")],
  [1, message("Bob", "two")],
  [2, message("Ada", "three")],
  [1, { kind: "notice", code: "branch", text: "goes on", about: 1, who: "" }],
  [4, message("Bob", "other")],
);

test("a line goes from its tip to the beginning", () => {
  assert.deepEqual(lineOf(branched).map(({ number }) => number), [1, 4, 5]);
  assert.deepEqual(lineOf(branched, 3).map(({ number }) => number), [1, 2, 3]);
  assert.deepEqual(lineOf([]), []);
});

test("other branches are known by where they leave, and by their newest event", () => {
  assert.deepEqual([...otherBranches(branched, lineOf(branched))], [[1, [3]]]);
  assert.deepEqual([...otherBranches(branched, lineOf(branched, 3))], [[1, [5]]]);
});

test("a text falls into parts, by characters and not by halves of them", () => {
  const body = message("Ada", "🎨 !image x", { claims: [{ start: 0, end: 1, name: "action" }] });
  const command = { kind: "command", message: 1, who: "Ada", start: 2, end: 10, name: "image", arguments: ["x"] } as const;
  const parts = partsOf(body, new Map([[7, { ...command, arguments: ["x"] }]]));
  assert.deepEqual(parts.map(({ text, claim, command: number }) => [text, claim, number]), [["🎨", "action", null], [" ", null, null], ["!image x", null, 7]]);
});

test("who reads whom is a mean over a reader's replies, without the room's own lines", () => {
  const flow = (attention: number) => ({ messages: [], own_attention: 0, speakers: { Ada: { attention, lost_nats: 1 }, "": { attention: 9, lost_nats: 9 } } });
  const line = events(
    [0, message("Ada", "one")],
    [1, message("Bob", "two")],
    [2, { kind: "drawn", message: 2, flow: flow(0.1), reason: "" }],
    [3, message("Bob", "three")],
    [4, { kind: "drawn", message: 4, flow: flow(0.3), reason: "" }],
    [5, { kind: "drawn", message: 1, flow: {}, reason: "written beforehand" }],
  );
  const known = new Known(line);
  assert.equal(known.flow(1), null);
  const found = whoReadsWhom(known);
  assert.deepEqual([...found.readers], [["Bob", 2]]);
  assert.deepEqual(found.read, ["Ada"]);
  assert.deepEqual(found.pairs.get("Bob")?.get("Ada"), { attention: 0.2, lost: 1 });
  assert.equal(found.mostRead, "Ada");
  assert.deepEqual(sharesOf(flow(0.3)), [{ name: "Ada", attention: 0.3, of: 1 }]);
  assert.deepEqual([...huesOf(line).keys()], ["Ada", "Bob"]);
});

test("what the room says is a line; messages and flows say none", () => {
  const [setting] = events([0, { kind: "setting", what: "mode", value: "natural", who: "" }]);
  assert.equal(told(setting!), "the room's mode is now natural");
  assert.equal(told(branched[0]!), "");
});

test("addresses of the web are links, others are not", () => {
  assert.equal(webAddress("https://a.example/x"), "https://a.example/x");
  assert.equal(webAddress("javascript:alert(1)"), null);
  assert.equal(webAddress("nothing"), null);
  assert.equal(nats(-0.5), "−0.50 nats");
});
