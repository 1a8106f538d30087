import assert from "node:assert/strict";
import { test } from "node:test";
import { fileName } from "../src/export/files.ts";
import { colourOf } from "../src/colours.ts";
import { degreesOf } from "../src/export/labels.ts";
import { captionLines } from "../src/export/picture.ts";
import { Recorder } from "../src/export/recorder.ts";
import { short, tag, xmlText } from "../src/export/xml.ts";

test("xml: whatever a text holds stands for itself, and what XML forbids is named", () => {
  assert.equal(xmlText(`</script>&'"`), "&lt;/script&gt;&amp;&apos;&quot;");
  assert.equal(xmlText("a\u0000b\u001bc\ud800d\udc00e\uffff"), "a‹00›b‹1B›c‹D800›d‹DC00›e‹FFFF›");
  assert.equal(xmlText("tab\t line\n 👩‍🚀 שלום \u202e"), "tab\t line\n 👩‍🚀 שלום \u202e");
});

test("xml: an element with attributes, empty or not, and short numbers", () => {
  assert.equal(tag("g", { a: 1 / 3, b: undefined, c: '"' }), '<g a="0.333" c="&quot;"/>');
  assert.equal(tag("g", {}, "<a/>"), "<g><a/></g>");
  assert.equal(short(-0.0001), "0");
  assert.equal(short(1e-9), "0");
  assert.equal(short(1234.5678), "1234.568");
});

test("recorder: rectangles, circles and curves with colour, opacity and width", () => {
  const pen = new Recorder();
  pen.fillStyle = "#123456";
  pen.globalAlpha = 0.5;
  pen.fillRect(1, 2, 3, 4);
  assert.equal(pen.take(), '<rect x="1" y="2" width="3" height="4" fill="#123456" fill-opacity="0.5"/>');
  pen.globalAlpha = 1;
  pen.beginPath();
  pen.arc(5, 6, 2, 0, 2 * Math.PI);
  pen.fill();
  assert.equal(pen.take(), '<circle cx="5" cy="6" r="2" fill="#123456"/>');
  pen.strokeStyle = "#ff0000";
  pen.lineWidth = 2.5;
  pen.setLineDash([5, 4]);
  pen.beginPath();
  pen.moveTo(0, 0);
  pen.bezierCurveTo(1, 2, 3, 4, 5, 6);
  pen.lineTo(7, 8);
  pen.stroke();
  assert.equal(
    pen.take(),
    '<path d="M0 0C1 2 3 4 5 6L7 8" fill="none" stroke="#ff0000" stroke-width="2.5" stroke-dasharray="5 4"/>',
  );
  assert.equal(pen.take(), "");
});

test("recorder: a gradient is written before what it paints, each with a name of its own", () => {
  const pen = new Recorder();
  for (const x of [0, 10]) {
    const shade = pen.createLinearGradient(x, 0, x + 5, 0);
    shade.addColorStop(0, "#000000");
    shade.addColorStop(1, "#ffffff");
    pen.strokeStyle = shade;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x + 5, 1);
    pen.stroke();
  }
  const written = pen.take();
  assert.deepEqual(written.match(/url\(#[^)]*\)/g), ["url(#wl-shade-1)", "url(#wl-shade-2)"]);
  for (const id of ["wl-shade-1", "wl-shade-2"]) {
    assert.ok(written.indexOf(`id="${id}"`) < written.indexOf(`url(#${id})`));
  }
  assert.equal(written.match(/<stop /g)?.length, 4);
});

test("recorder: parts are groups with a title, nested, and empty ones are left out", () => {
  const pen = new Recorder();
  pen.part("strands", "", () => {
    pen.part("strand", "a < b", () => pen.fillRect(0, 0, 1, 1));
    pen.part("strand", "nothing", () => undefined);
  });
  assert.equal(
    pen.take(),
    '<g class="strands"><g class="strand"><title>a &lt; b</title>' +
      '<rect x="0" y="0" width="1" height="1" fill="#000000"/></g></g>',
  );
});

test("recorder: what it cannot write it refuses", () => {
  const pen = new Recorder();
  pen.beginPath();
  assert.throws(() => pen.arc(0, 0, 1, 0, 1), /circle/);
  pen.fillStyle = { addColorStop: () => undefined };
  assert.throws(() => pen.fillRect(0, 0, 1, 1), /gradients along a line/);
});

test("labels: colours and turns as style sheets compute them", () => {
  assert.deepEqual(colourOf("rgb(26, 111, 196)"), { colour: "#1a6fc4", opacity: 1 });
  assert.deepEqual(colourOf("rgba(0, 0, 0, 0)"), { colour: "#000000", opacity: 0 });
  assert.equal(degreesOf("none"), 0);
  assert.equal(degreesOf("matrix(1, 0, 0, 1, -7.5, 20)"), 0);
  assert.equal(degreesOf("matrix(0.529919, -0.848048, 0.848048, 0.529919, 3, 4)"), -58);
  assert.equal(degreesOf("matrix(1, 1e-17, -1e-17, 1, 0, 0)"), 0);
});

test("file names: the text's words and nothing that a file system minds", () => {
  assert.equal(fileName("The capital of France is", "svg"), "worldline-the-capital-of-france-is.svg");
  assert.equal(fileName("../..\\C:con\u0000\u202e?*", "png"), "worldline-c-con.png");
  assert.equal(fileName("東京は", "json"), "worldline-東京は.json");
  assert.equal(fileName("\ud800 🚀", "json"), "worldline.json");
  assert.equal(fileName("", "json"), "worldline.json");
  const long = fileName("𝔘".repeat(500), "json");
  assert.ok(new TextEncoder().encode(long).length < 255);
});

test("the caption says the text, the model, how much is drawn and what a width means", () => {
  const scene = {
    text: "Hi\u001b",
    model: { name: "m" },
    attribution: { by: "gradient", target: { token: " x", id: 1 }, versus: null, how: "zero", unit: "logit" },
  };
  const selection = { edges: [{}, {}], of: 1200, share: 0.5 };
  const lines = captionLines({ scene, selection } as unknown as Parameters<typeof captionLines>[0]);
  assert.deepEqual(lines, [
    "“Hi‹1B›”",
    "m; 2 of 1,200 edges are drawn, 50 % of the flow (the sum of |weight|)",
    "Width of a strand: what “·x” would lose if it were zeroed, in logit; blue would lose, orange would gain",
  ]);
});
