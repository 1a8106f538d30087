// On top of the last column: what the model predicts there.
import { chip, h, number } from "../dom.ts";
import { chance, clipped, tokenName } from "../format.ts";
import { MARGIN, xOf, yOf } from "../layout.ts";
import type { ScenePrediction } from "../scene.gen.ts";
import type { View } from "../view.ts";

export function placePrediction(over: HTMLElement, view: View): void {
  const best = view.scene.predictions[0];
  const old = over.querySelector<HTMLElement>(".wl-next");
  if (!best || view.layout.nTokens === 0) {
    old?.remove();
    return;
  }
  const after = view.after ? `${view.after.id} ${view.after.logprob}` : "";
  if (old && old.dataset["after"] !== after) old.remove();
  const kept = old?.isConnected ? old : null;
  const mark = kept ?? over.appendChild(makeNext(best, view.after));
  mark.dataset["after"] = after;
  const x = xOf(view.layout, view.zoom, view.layout.nTokens - 1);
  const half = Number((mark.dataset["width"] ??= String(mark.offsetWidth))) / 2;
  const middle = Math.max(MARGIN.left + half, Math.min(view.layout.width - half - 2, x));
  const y = yOf(view.layout, view.layout.nLayers) - 8;
  mark.style.transform = `translate(${middle}px, ${y}px) translate(-50%, -100%)`;
  mark.style.setProperty("--wl-stem", `${Math.max(8, Math.min(2 * half - 8, x - middle + half))}px`);
}

function makeNext(best: ScenePrediction, after: ScenePrediction | null): HTMLElement {
  const guess = ({ token, logprob }: ScenePrediction): HTMLElement[] => [
    chip(clipped(tokenName(token), 18)),
    h("b", {}, number(logprob, chance(logprob), "prediction")),
  ];
  return h(
    "div",
    { class: "wl-next" },
    h("span", { class: "wl-pale", text: "next" }),
    ...(after ? [h("s", {}, ...guess(best)), h("span", { class: "wl-pale", text: "after the cut" }), ...guess(after)] : guess(best)),
  );
}
