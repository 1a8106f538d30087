// What is seen, in two sentences whose coloured words are the legend.
import { h } from "./dom.ts";
import { clipped, visibleText } from "./format.ts";
import type { Scene } from "./scene.gen.ts";

export function caption(scene: Scene): HTMLElement {
  const { by, target, versus } = scene.weighing;
  const name = (token: string): string => `“${clipped(visibleText(token), 20)}”`;
  const aims = by !== "share" && target;
  const over = versus ? ` over ${name(versus.token)}` : "";
  const positive = aims ? `blue speaks for ${name(target.token)}${over}` : "blue pushes the state where it went";
  const negative = aims ? "orange speaks against it" : "orange pulled elsewhere and was overcome";
  return h(
    "p",
    { class: "wl-caption" },
    "Each strand is one read of the K/V stream: inside one layer, a token on the right reads what an earlier token left there; ",
    mark("positive", positive),
    ", ",
    mark("negative", negative),
    ". Each ",
    mark("residual", "vertical line"),
    " is a token’s residual stream, climbing from its embedding to the prediction.",
  );
}

function mark(kind: string, words: string): HTMLElement {
  const sample = h("i", { class: `wl-mark wl-mark-${kind}`, "aria-hidden": "true" });
  return h("span", { class: `wl-key wl-key-${kind}` }, sample, words);
}
