// What comes next, according to the model: the panel at the top right.
import { chip, h, number } from "../dom.ts";
import { chance, clipped, visibleText } from "../format.ts";
import type { Scene, ScenePrediction } from "../scene.gen.ts";

export function predictionsPanel(scene: Scene): HTMLElement {
  const rows = scene.predictions.slice(0, 10).map((prediction) => row(scene, prediction));
  return h(
    "section",
    { class: "wl-panel wl-predictions", "aria-label": "Predictions for the next token" },
    h("h2", { text: "Next token" }),
    rows.length > 0
      ? h("ol", {}, ...rows)
      : h("p", { class: "wl-pale", text: "No prediction in this file." }),
  );
}

function row(scene: Scene, { token, id, logprob }: ScenePrediction): HTMLElement {
  const { target, versus } = scene.weighing;
  const role = target?.id === id ? "weighed" : versus?.id === id ? "versus" : "";
  const bar = h("i");
  bar.style.width = `${Math.max(0.6, 100 * Math.exp(Math.min(0, logprob)))}%`;
  const title = `token ${id}, ${logprob.toFixed(3)} nats`;
  return h(
    "li",
    { class: role ? "wl-asked" : "", title },
    chip(clipped(visibleText(token), 16)),
    h("span", { class: "wl-tag", text: role }),
    h("span", { class: "wl-bar", "aria-hidden": "true" }, bar),
    number(logprob, chance(logprob), "prediction"),
  );
}
