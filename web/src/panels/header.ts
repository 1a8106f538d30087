// The head of the page: the text, who read it, what the weights ask, and whether to trust them.
import { toStep, turnTheme } from "../actions.ts";
import { h, number } from "../dom.ts";
import { asked, closureWords } from "../facts.ts";
import { counted, readableText } from "../format.ts";
import type { Scene } from "../scene.gen.ts";
import type { Store } from "../store.ts";

/** On a live page the text can be changed, and another question asked. */
export function header(store: Store, dialogs: { about: HTMLDialogElement; keys: HTMLDialogElement }, menu: HTMLElement): HTMLElement {
  const { scene, isTouring } = store;
  const about = (): void => dialogs.about.showModal();
  const text = readableText(scene.text);
  const { model } = scene;
  const size = `${counted(model.n_layers, "layer")}, ${counted(scene.tokens.length, "token")}`;
  const button = (label: string, words: string, click: () => void, name: string): HTMLElement =>
    h("button", { type: "button", class: name, text: label, "aria-label": words, title: words, on: { click } });
  return h(
    "header",
    { class: "wl-header" },
    store.live?.bar ?? h(
      "div",
      { class: "wl-heading" },
      h("h1", { title: text }, h("bdi", { text: `“${text}”` })),
      h(
        "p",
        { class: "wl-byline" },
        h("b", { text: readableText(model.name) }),
        h("span", { text: size }),
        h("span", { text: `width of a strand: ${asked(scene)}` }),
      ),
    ),
    h(
      "div",
      { class: "wl-actions" },
      h("button", {
        type: "button",
        class: "wl-explain",
        text: "Explain",
        title: "Step by step: what this picture shows, with the numbers of this text",
        "aria-pressed": () => String(isTouring.value),
        on: { click: () => toStep(store, isTouring.value ? null : 1) },
      }),
      ...badges(scene, about),
      menu,
      button("i", "What the numbers mean, and how to get them again", about, "wl-i"),
      button("?", "Keys", () => dialogs.keys.showModal(), "wl-round"),
      button("◐", "Light or dark", () => turnTheme(store), "wl-round wl-theme"),
    ),
  );
}

/** Whether recording was inert, and whether every node is the sum of its terms. */
function badges(scene: Scene, onAbout: () => void): HTMLElement[] {
  const { inert, closure_error: closure } = scene;
  const isInert = inert.equal && inert.calls === inert.expected_calls;
  const isClosed = closure.worst <= closure.tolerance;
  const badge = (good: boolean, yes: (string | HTMLElement)[], no: string, title: string): HTMLElement =>
    h("button", {
      type: "button",
      class: `wl-badge ${good ? "wl-good" : "wl-bad"}`,
      title,
      on: { click: onAbout },
    }, ...(good ? ["✓ ", ...yes] : [`✗ ${no}`]));
  return [
    badge(
      isInert,
      ["inert"],
      "not inert",
      `Recording ${isInert ? "changed no bit of the logits" : "changed the run"}, checked on ` +
        `${inert.checked === "probe" ? "a probe text" : "this very run"}; ${inert.calls} of ` +
        `${inert.expected_calls} attention calls seen.`,
    ),
    badge(isClosed, closureBadge(closure), closure.over === "sources" ? "not closed" : "not rebuilt", `${closureWords(closure)}.`),
  ];
}

/** Closed is a node that heads and sources were added up for; what the model added again is only rebuilt. */
function closureBadge(closure: Scene["closure_error"]): (string | HTMLElement)[] {
  const error = number(closure.worst, closure.worst.toExponential(0), "closure");
  if (closure.over !== "sources") return ["rebuilt from its terms"];
  return [...(closure.worst === 0 ? ["closed exactly"] : ["closed to ", error]), ...(closure.layers === null ? [] : [" (sample)"])];
}
