// What is seen, in two sentences whose coloured words are the legend.
import { h } from "./dom.ts";
import { clipped, tokenName } from "./format.ts";
import type { Scene } from "./scene.gen.ts";

export function caption(scene: Scene): HTMLElement {
  const { by, target, versus, how } = scene.attribution;
  const name = (token: string): string => `“${clipped(tokenName(token), 20)}”`;
  const over = versus ? ` over ${name(versus.token)}` : "";
  const cut = `if that read alone were ${how === "mask" ? "masked" : "zeroed"}`;
  const words: Record<typeof by, [string, string]> = {
    gradient: [`blue: ${name(target?.token ?? "")}${over} would lose ${cut}`, "orange: it would gain"],
    frozen: [`blue brings to ${name(target?.token ?? "")}${over}, attention patterns held`, "orange takes away"],
    contribution: ["blue pushes the state where it went", "orange pulled elsewhere and was overcome"],
  };
  const [positive, negative] = words[target ? by : "contribution"];
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
  const [first = "", ...rest] = words.split(" ");
  return h("span", { class: `wl-key wl-key-${kind}` }, h("span", { class: "wl-nowrap" }, sample, first), ...rest.map((word) => ` ${word}`));
}
