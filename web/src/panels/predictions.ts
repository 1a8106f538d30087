// What comes next, according to the model: the panel at the top right.
import { bar, chip, h, number } from "../dom.ts";
import { chance, clipped, tokenName } from "../format.ts";
import type { Live } from "../host.ts";
import type { Scene, ScenePrediction } from "../scene.gen.ts";
import type { Store } from "../store.ts";

/** On a live page a token can be asked about: why this one, or why not that one. */
export function predictionsPanel({ scene, live }: Store): HTMLElement {
  const rows = scene.predictions.slice(0, live ? 8 : 10).map((prediction) => row(scene, prediction, live));
  return h(
    "section",
    { class: "wl-panel wl-predictions", "aria-label": "Predictions for the next token" },
    h("h2", { text: "Next token" }),
    rows.length > 0
      ? h("ol", {}, ...rows)
      : h("p", { class: "wl-pale", text: "No prediction in this file." }),
  );
}

function row(scene: Scene, { token, id, logprob }: ScenePrediction, live: Live | null): HTMLElement {
  const { target, versus } = scene.attribution;
  const role = target?.id === id ? "target" : versus?.id === id ? "versus" : "";
  const title = `token ${id}, ${logprob.toFixed(3)} nats`;
  const name = chip(clipped(tokenName(token), 16));
  const shown = tokenName(token);
  const why = live && h("button", { type: "button", class: "wl-why", title: `Why ${shown}?`, "aria-label": `Why ${shown}?`, on: { click: () => live.onTarget(`id:${id}`) } }, name);
  const over = live && !role && h("button", { type: "button", class: "wl-cut", text: "over", title: `Compared with ${shown}`, "aria-label": `Compare with ${shown}`, on: { click: () => live.onVersus(`id:${id}`) } });
  return h(
    "li",
    { class: role ? "wl-asked" : "", title },
    why ?? name,
    over || h("span", { class: "wl-tag", text: role }),
    bar(Math.max(0.6, 100 * Math.exp(Math.min(0, logprob)))),
    number(logprob, chance(logprob), "prediction"),
  );
}
