// Two dialogs: what the numbers mean and how to get them again; and the keys.
import { h, number } from "../dom.ts";
import { asked, closureWords } from "../facts.ts";
import { count, percent, readableText } from "../format.ts";
import type { Scene } from "../scene.gen.ts";

function dialog(title: string, ...children: HTMLElement[]): HTMLDialogElement {
  const close = h("button", { type: "button", class: "wl-close", "aria-label": "Close", text: "×" });
  const element = h("dialog", { class: "wl-dialog", "aria-label": title }, close, h("h2", { text: title }), ...children);
  close.addEventListener("click", () => element.close());
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close();
  });
  return element;
}

export function aboutDialog(scene: Scene): HTMLDialogElement {
  const { attribution, coverage, inert, closure_error: closure, model, reproduce } = scene;
  const facts: [string, string | (HTMLElement | string)[]][] = [
    ["A strand's weight", asked(scene)],
    ["Formula", attribution.formula],
    ["Unit", attribution.unit],
    ["Exactness", attribution.exactness],
    [
      "Coverage",
      [
        number(coverage.edges, count(coverage.edges), "drawn_edges"),
        " of ",
        number(coverage.of, count(coverage.of), "all_edges"),
        " edges, which hold ",
        number(coverage.share, percent(coverage.share), "flow_share"),
        " of the flow (the sum of |weight|)",
      ],
    ],
    [
      "Inert",
      `${inert.equal ? "logits bitwise equal with and without recording" : "logits differ"}; ` +
        `${inert.calls} of ${inert.expected_calls} attention calls seen; checked on ` +
        `${inert.checked === "probe" ? "a probe text" : "this very run"}`,
    ],
    [
      "Closure",
      [number(closure.worst, closure.worst.toExponential(2), "closure"), `: ${closureWords(closure)}`],
    ],
    [
      "Model",
      `${readableText(model.name)}: ${model.n_layers} layers, ${model.n_heads} heads ` +
        `(${model.n_kv_heads} for K/V), width ${model.d_model}, ${model.dtype} on ${model.device}`,
    ],
    ["Weights", model.weights_hash],
    ["Versions", Object.entries(scene.versions).map(([name, version]) => `${name} ${version}`).join(", ")],
    ["Seed", scene.seed === null ? "none" : String(scene.seed)],
    ["Made", scene.created ?? "unknown"],
    ...scene.left_out.map((words): [string, string] => ["Left out", words]),
  ];
  const list = h("dl", { class: "wl-about" });
  for (const [name, words] of facts) {
    list.append(h("dt", { text: name }), h("dd", {}, ...(typeof words === "string" ? [words] : words)));
  }
  return dialog(
    "What the numbers mean",
    list,
    h("h3", { text: "Get them again" }),
    ...(reproduce.note ? [h("p", { class: "wl-hint", text: reproduce.note })] : []),
    ...(reproduce.cli ? [code("Command line", reproduce.cli)] : []),
    ...(reproduce.python ? [code("Python", reproduce.python)] : []),
  );
}

export function code(name: string, text: string): HTMLElement {
  const line = h("code", { text, tabindex: 0, "aria-label": name });
  const copy = h("button", { type: "button", class: "wl-copy", text: "copy", "aria-label": `Copy: ${name}` });
  copy.addEventListener("click", () => {
    getSelection()?.selectAllChildren(line);
    navigator.clipboard?.writeText(text).then(
      () => (copy.textContent = "copied"),
      () => (copy.textContent = "selected"),
    );
  });
  return h("div", { class: "wl-code" }, line, copy);
}

const KEYS: [string, string][] = [
  ["← → ↑ ↓", "move from node to node"],
  ["Enter", "fix the node and list its edges"],
  ["[ and ]", "step through the layers, one at a time in the light"],
  ["x", "cut the edge, the path or the token that is pointed at, and run again"],
  ["← and →", "in the tour (Explain): a step back, or on; Esc ends it"],
  ["Esc", "clear: first the pointer, then the layer, then the fixed node"],
  ["Shift", "hold to freeze what is shown under the pointer"],
  ["i", "say what a number means: the one in focus, or under the pointer"],
  ["?", "show these keys"],
];

export function keysDialog(): HTMLDialogElement {
  const list = h("dl", { class: "wl-about wl-keys" });
  for (const [key, words] of KEYS) list.append(h("dt", {}, h("kbd", { text: key })), h("dd", { text: words }));
  return dialog("Keys", list);
}
