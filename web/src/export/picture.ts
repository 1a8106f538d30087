// What is drawn now as one SVG: paper, cones, marks, names, and a caption under it if wanted.
import { asked } from "../facts.ts";
import { count, percent, readableText } from "../format.ts";
import { BASE, CLIP, FLOW, type Lattice } from "../lattice.ts";
import type { View } from "../view.ts";
import { FONT, LabelWriter, Measure } from "./labels.ts";
import { Recorder } from "./recorder.ts";
import { tag, xmlText } from "./xml.ts";

const CAPTION = { left: 26, right: 18, size: 12, line: 17, above: 12, below: 14 };

export interface Picture {
  svg: string;
  width: number;
  height: number;
}

export function picture(lattice: Lattice, captioned: boolean): Picture {
  const { view, stage, under, over } = lattice.drawn();
  const { width, height: drawn } = view.layout;
  const labels = new LabelWriter(stage);
  const lines = captioned ? captionLines(view) : [];
  const height = drawn + (captioned ? CAPTION.above + CAPTION.line * lines.length + CAPTION.below : 0);
  const clip = tag("clipPath", { id: "wl-clip" }, tag("rect", { x: CLIP, y: 0, width, height: drawn }));
  const frame = tag("clipPath", { id: "wl-frame" }, tag("rect", { x: 0, y: 0, width, height: drawn }));
  const svg = tag(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-labelledby": "wl-title wl-desc",
      "font-family": FONT,
    },
    [
      tag("title", { id: "wl-title" }, xmlText(readableText(view.scene.text) || "worldline")),
      tag("desc", { id: "wl-desc" }, xmlText(description(view))),
      tag("defs", {}, clip + frame),
      tag("rect", { width, height, fill: view.palette.paper }),
      tag("g", { class: "under", "clip-path": "url(#wl-frame)" }, labels.layer(under)),
      tag("g", { class: "lattice", "clip-path": "url(#wl-clip)" }, marks(view)),
      tag("g", { class: "names", "clip-path": "url(#wl-frame)" }, labels.layer(over)),
      captioned ? caption(lines, view, drawn) : "",
    ].join("\n"),
  );
  return { svg: `<?xml version="1.0" encoding="UTF-8"?>\n${svg}\n`, width, height };
}

function marks(view: View): string {
  const pen = new Recorder();
  for (const [name, draw] of Object.entries({ ...BASE, ...FLOW })) {
    pen.part(name, "", () => draw(pen, view));
  }
  return pen.take();
}

/** The text; who read it and how much of it is drawn; what a strand says. */
export function captionLines({ scene, selection }: Pick<View, "scene" | "selection">): string[] {
  const edges = `${count(selection.edges.length)} of ${count(selection.of)} edges`;
  const { by, target } = scene.attribution;
  const signs = by === "gradient" && target ? "blue would lose, orange would gain" : "blue positive, orange negative";
  return [
    `“${readableText(scene.text)}”`,
    `${readableText(scene.model.name)}; ${edges} are drawn, ${percent(selection.share)} of the flow (the sum of |weight|)`,
    `Width of a strand: ${asked(scene)}, in ${scene.attribution.unit}; ${signs}`,
  ];
}

function description(view: View): string {
  const { scene } = view;
  const made = Object.entries(scene.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  return [
    ...captionLines(view),
    `Columns are ${scene.tokens.length} tokens, rows ${scene.model.n_layers} layers, from the embedding up.`,
    `Formula: ${scene.attribution.formula}. Exactness: ${scene.attribution.exactness}.`,
    `Made with ${made}; again: ${scene.reproduce.cli || scene.reproduce.python}`,
  ].join("\n");
}

function caption(lines: string[], view: View, top: number): string {
  const measure = new Measure();
  const room = view.layout.width - CAPTION.left - CAPTION.right;
  const written = lines.map((line, at) =>
    tag(
      "text",
      { x: CAPTION.left, y: top + CAPTION.above + CAPTION.line * (at + 0.8), "font-weight": at === 0 ? 600 : undefined },
      xmlText(measure.fitted(line, `${at === 0 ? 600 : 400} ${CAPTION.size}px ${FONT}`, room)),
    ),
  );
  return tag("g", { class: "caption", fill: view.palette.ink, "font-size": CAPTION.size }, written.join("\n"));
}
