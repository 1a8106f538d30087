// What comes next, according to the model: the panel at the top right.
import { chip, h, number } from "../dom.ts";
import { chance, clipped, tokenName } from "../format.ts";
import type { Scene, ScenePrediction } from "../scene.gen.ts";

export interface PredictionEvents {
  onTarget(token: string): void;
  onVersus(token: string): void;
}

/** With `events` a token can be asked about: why this one, or why not that one. */
export function predictionsPanel(scene: Scene, events: PredictionEvents | null = null): HTMLElement {
  const rows = scene.predictions.slice(0, events ? 8 : 10).map((prediction) => row(scene, prediction, events));
  return h(
    "section",
    { class: "wl-panel wl-predictions", "aria-label": "Predictions for the next token" },
    h("h2", { text: "Next token" }),
    rows.length > 0
      ? h("ol", {}, ...rows)
      : h("p", { class: "wl-pale", text: "No prediction in this file." }),
  );
}

function row(scene: Scene, { token, id, logprob }: ScenePrediction, events: PredictionEvents | null): HTMLElement {
  const { target, versus } = scene.attribution;
  const role = target?.id === id ? "target" : versus?.id === id ? "versus" : "";
  const bar = h("i");
  bar.style.width = `${Math.max(0.6, 100 * Math.exp(Math.min(0, logprob)))}%`;
  const title = `token ${id}, ${logprob.toFixed(3)} nats`;
  const name = chip(clipped(tokenName(token), 16));
  const shown = tokenName(token);
  const why = events && h("button", { type: "button", class: "wl-why", title: `Why ${shown}?`, "aria-label": `Why ${shown}?`, on: { click: () => events.onTarget(`id:${id}`) } }, name);
  const over = events && !role && h("button", { type: "button", class: "wl-cut", text: "over", title: `Compared with ${shown}`, "aria-label": `Compare with ${shown}`, on: { click: () => events.onVersus(`id:${id}`) } });
  return h(
    "li",
    { class: role ? "wl-asked" : "", title },
    why ?? name,
    over || h("span", { class: "wl-tag", text: role }),
    h("span", { class: "wl-bar", "aria-hidden": "true" }, bar),
    number(logprob, chance(logprob), "prediction"),
  );
}
