// The notebook host: a model that Python shares (anywidget's), and the picture of its Scene.
import { h } from "./dom.ts";
import type { NodeRef } from "./layout.ts";
import { mount, type Mounted } from "./root.ts";
import type { Scene } from "./scene.gen.ts";
import type { Selection } from "./select.ts";
import { START, type State, type Theme } from "./state.ts";

/** How many places the Scene has. */
export interface Bounds {
  nTokens: number;
  nLayers: number;
}

/** What this host uses of anywidget's model. */
export interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  on(event: string, listener: () => void): void;
  off(event: string, listener: () => void): void;
  save_changes(): void;
}

/** What is chosen, as it travels; the field names are those of Python's Selection. */
export interface Chosen {
  node: NodeRef | null;
  layer: number | null;
  n: number | null;
  sink: boolean;
  n_drawn: number | null;
}

/** Python knows tokens: what is chosen among groups of them stays here. */
export function chosenOf(state: State, nDrawn: number | null): Chosen {
  if (state.columns !== "tokens") return { node: null, layer: state.layer, n: null, sink: state.sink, n_drawn: null };
  const node = state.node && { layer: state.node.layer, pos: state.node.pos };
  return { node, layer: state.layer, n: state.n, sink: state.sink, n_drawn: nDrawn };
}

/** Read what travelled; what it does not say, or what this Scene does not hold, is as at the start. */
export function readChosen(value: unknown, bounds: Bounds): Chosen {
  const given = (typeof value === "object" && value !== null ? value : {}) as Partial<Chosen>;
  const layer = whole(given.node?.layer, bounds.nLayers);
  const pos = whole(given.node?.pos, bounds.nTokens - 1);
  return {
    node: layer === null || pos === null ? null : { layer, pos },
    layer: whole(given.layer, bounds.nLayers - 1),
    n: whole(given.n, Number.MAX_SAFE_INTEGER),
    sink: given.sink !== false,
    n_drawn: whole(given.n_drawn, Number.MAX_SAFE_INTEGER),
  };
}

function whole(value: unknown, most: number): number | null {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most
    ? (value as number)
    : null;
}

/** The notebook's own theme, where it says so; null: follow the system. */
export function hostTheme(body: { dataset: DOMStringMap; className: string }): Theme | null {
  const light = body.dataset["jpThemeLight"]; // Jupyter
  if (light !== undefined) return light === "false" ? "dark" : "light";
  const kind = body.dataset["vscodeThemeKind"] ?? body.dataset["theme"] ?? body.className;
  const found = /(?:^|[\s-])(dark|light)(?:$|\s)/.exec(kind)?.[1];
  return found === "dark" || found === "light" ? found : null;
}

/** A key pressed inside the picture is not also the notebook's (Jupyter's x cuts the cell). */
function keepKeys(box: HTMLElement): void {
  // Jupyter listens before the picture does, and asks the very element that has the focus.
  box.addEventListener("focusin", (event) => {
    if (event.target instanceof Element) event.target.setAttribute("data-lm-suppress-shortcuts", "true");
  });
  box.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) event.stopPropagation();
  });
}

/** Draw the model's Scene into `el`, and share what is chosen, until the returned function is called. */
export function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const box = h("div");
  let mounted: Mounted | null = null;
  let bounds: Bounds = { nTokens: 0, nLayers: 0 };
  let told = "";

  function draw(): void {
    const theme = mounted ? mounted.state.theme : hostTheme(document.body);
    mounted?.destroy();
    mounted = null;
    try {
      const scene = JSON.parse(String(model.get("scene"))) as Scene;
      bounds = { nTokens: scene.tokens.length, nLayers: scene.model.n_layers };
      const { node, layer, n, sink } = readChosen(model.get("selection"), bounds);
      const start = { ...START, theme, node, layer, n, sink };
      mounted = mount(box, scene, { start, onState: tell });
    } catch (error) {
      box.replaceChildren(h("p", { text: `The picture could not be drawn (${String(error)}).` }));
    }
  }

  function tell(state: State, selection: Selection): void {
    const chosen = chosenOf(state, selection.edges.length);
    told = JSON.stringify(chosen);
    if (told === JSON.stringify(readChosen(model.get("selection"), bounds))) return;
    model.set("selection", chosen);
    model.save_changes();
  }

  function follow(): void {
    const chosen = readChosen(model.get("selection"), bounds);
    if (JSON.stringify(chosen) === told) return; // one's own words come back
    const { node, layer, n, sink } = chosen;
    mounted?.choose({ node, layer, n, sink });
  }

  el.replaceChildren(box);
  keepKeys(box);
  draw();
  model.on("change:scene", draw);
  model.on("change:selection", follow);
  return () => {
    model.off("change:scene", draw);
    model.off("change:selection", follow);
    mounted?.destroy();
    box.remove();
  };
}
