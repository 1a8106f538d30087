// Puts one Scene into one element: what a person chose on one side, what is drawn on the other.
import { caption } from "./caption.ts";
import { ClaimsPanel } from "./claims/panel.ts";
import { h } from "./dom.ts";
import { edgeWords, rowName } from "./facts.ts";
import { signed } from "./format.ts";
import { nodeFacts } from "./facts.ts";
import { carried, type Columns, columnsOf, type ColumnsName, cutOf, offered, overlayOver, pathOver, spanOf } from "./grouping.ts";
import { keepingFocus } from "./focus.ts";
import type { Mounted, MountOptions } from "./host.ts";
import { listenToKeys } from "./keys.ts";
import { type Hit, Lattice } from "./lattice.ts";
import type { NodeRef } from "./layout.ts";
import { type AlteredName, alteredParts } from "./panels/altered.ts";
import { Controls } from "./panels/controls.ts";
import { aboutDialog, keysDialog } from "./panels/dialogs.ts";
import { exportsMenu } from "./panels/exports.ts";
import { header } from "./panels/header.ts";
import { explainNumbers } from "./panels/meaning.ts";
import { predictionsPanel } from "./panels/predictions.ts";
import { cutsOf, pathsPanel } from "./panels/paths.ts";
import { runPart } from "./panels/running.ts";
import { Selector } from "./panels/selector.ts";
import { nodePanel, type SideEvents, strongestPanel } from "./panels/side.ts";
import { sourcesPart } from "./panels/sources.ts";
import { type Tab, Tabs } from "./panels/tabs.ts";
import { Tooltip } from "./panels/tooltip.ts";
import { type Overlay, together } from "./overlay.ts";
import type { Scene, SceneAltered, ScenePath, ScenePaths } from "./scene.gen.ts";
import { firstCount, rank, type RankedEdge, select } from "./select.ts";
import { fromFragment, START, type State, toFragment } from "./state.ts";
import type { TourStep } from "./tour/pieces.ts";
import { LAST_STEP, Tour } from "./tour/tour.ts";

export type { Live, Mounted, MountOptions } from "./host.ts";

const BLOCKS = 0.5; // a block lies half a row above the row that it reads
type TourLightEdge = TourStep["light"]["edge"] | null;

export function mount(element: HTMLElement, scene: Scene, options: MountOptions = {}): Mounted {
  const page = options.page ?? false;
  const bounds = { columns: offered(scene), nLayers: scene.model.n_layers };
  let state: State = page ? recalled() : { ...START, ...options.start };
  let columns: Columns = columnsOf(scene, state.columns);
  let ranked = rank(columns.scene);
  let selection = chosen();
  let hover: Hit = null;
  let cursor: NodeRef | null = null;
  let path: ScenePath | null = null;
  let overlay: Overlay | null = null;

  const about = aboutDialog(scene);
  const keys = keysDialog();
  const tooltip = new Tooltip(columns);
  const live = h("div", { class: "wl-unseen", role: "status", "aria-live": "polite" });
  const side = h("div", { class: "wl-side-host" });
  const shows = h("p", { class: "wl-shows", role: "status", hidden: true });
  const selector = new Selector(bounds.columns, onColumns);
  const controlEvents = {
    onCount: (n: number, settled: boolean) => change({ n }, settled ? "replace" : "none"),
    onSink: (sink: boolean) => change({ sink }, "replace"),
    onAbout: () => about.showModal(),
  };
  const controls = new Controls(scene.attribution.unit, controlEvents, selector.element);
  const lattice = new Lattice(columns, selection, { onHover, onClick });
  const labels = columnsOf(scene, "tokens").labels;
  lattice.element.append(tooltip.element);
  const live_ = options.live ?? null;
  let altered: Partial<SceneAltered> = scene.altered ?? {};
  const panel = (): HTMLElement => h("div", { class: "wl-tabpanel" });
  const pages = { why: panel(), paths: panel(), cuts: panel(), hops: panel(), cone: panel(), orders: panel(), claims: panel(), room: panel() };
  const claims = options.claims
    ? new ClaimsPanel(options.claims, {
        onOpen: (claim) => change({ claim }, "push"),
        onGraph: (graph) => change({ graph }, "replace"),
        onShow: live_?.onShow,
      })
    : null;
  if (claims) pages.claims.append(claims.element);
  const room = live_?.room ?? null;
  if (room) pages.room.append(room.element);
  let followed: { paths: ScenePaths | null; why: string | null } = { paths: scene.paths, why: scene.paths_left_out };
  let tourStep: TourStep | null = null;
  let tourHeat: Overlay["heat"] = null;
  const tour = new Tour({
    onStep: (step) => onStep(step),
    onHeat: (heat) => {
      tourHeat = heat;
      draw();
    },
    onClaim: (claim) => change({ claim, tab: "claims", step: null }, "push"),
    onPaths: live_ ? () => live_.onPaths() : undefined,
  });
  const sources = h("section", { class: "wl-panel wl-sources", "aria-label": "Tokens the answer depends on" });
  pages.why.append(predictionsPanel(scene, live_), sources, side);
  const wanted = (name: AlteredName): boolean => live_ !== null || Boolean(altered[name]);
  const tab = (name: keyof typeof pages, title: string): Tab => ({ name, title, content: pages[name] });
  const tabs = new Tabs(
    [
      tab("why", "Why"),
      tab("paths", "Paths"),
      ...(wanted("cut") ? [tab("cuts", "Cuts")] : []),
      ...(wanted("hops") ? [tab("hops", "Hops")] : []),
      ...(wanted("cone") ? [tab("cone", "Cone")] : []),
      ...(wanted("orders") ? [tab("orders", "Orders")] : []),
      ...(claims ? [tab("claims", "Claims")] : []),
      ...(room ? [tab("room", "Room")] : []),
    ],
    (name) => open(name),
  );
  const root = h(
    "div",
    { class: "wl", "data-host": page ? "page" : "cell" },
    header(
      scene,
      {
        onAbout: () => about.showModal(),
        onKeys: () => keys.showModal(),
        onTheme: () => change({ theme: isDark() ? "light" : "dark" }, "replace"),
        onExplain: () => onStep(state.step === null ? 1 : null),
      },
      live_?.bar ?? null,
      exportsMenu({ scene, lattice, json: options.json, extras: options.extras, say: (words) => (live.textContent = words) }),
    ),
    caption(scene),
    h("div", { class: "wl-centre" }, lattice.element, shows),
    tabs.element,
    tour.element,
    controls.element,
    live,
    about,
    keys,
  );

  const sideEvents: SideEvents = {
    onEdge: (edge) => point(edge && { edge }),
    onPick: (edge) => fix({ layer: edge.layer + 1, pos: edge.dst }),
    onClear: () => fix(null),
    onCut: live_?.onCut,
  };

  function open(name: string): void {
    change({ tab: name === "why" ? null : name }, "replace");
  }

  /** Begin, go on or end the tour; it is about tokens, and nothing else is pointed at meanwhile. */
  function onStep(step: number | null): void {
    const begins = state.step === null;
    tooltip.hide();
    hover = null;
    cursor = null;
    const plainly: Partial<State> = begins && state.columns !== "tokens" ? { columns: "tokens", node: null, n: null } : {};
    change({ ...plainly, step: step && Math.min(step, LAST_STEP) }, begins ? "push" : "replace");
    if (begins && step !== null) tour.focus();
    if (step === null) root.querySelector<HTMLElement>(".wl-explain")?.focus({ preventScroll: true });
  }

  function showTour(): void {
    const before = tourStep;
    tourStep = tour.show(state.step, { scene: shownScene(), labels, selection, node: state.node, altered }, claims?.records ?? null);
    if (before?.title !== tourStep?.title) tourHeat = null;
    root.classList.toggle("wl-touring", state.step !== null);
    root.querySelector(".wl-explain")?.setAttribute("aria-pressed", String(state.step !== null));
  }

  /** The Scene with what was followed later. */
  function shownScene(): Scene {
    return { ...scene, paths: followed.paths, paths_left_out: followed.why };
  }

  function claimsOpen(): boolean {
    return claims !== null && state.tab === "claims" && state.step === null;
  }

  function roomOpen(): boolean {
    return room !== null && state.tab === "room" && state.step === null;
  }

  /** The claims and the room lie over the lattice: nothing there can be pointed at. */
  function covered(): boolean {
    return claimsOpen() || roomOpen();
  }

  function onColumn(pos: number | null): void {
    point(pos === null ? null : { node: { layer: 0, pos } });
  }

  /** Fill the panels of altered runs anew. */
  function fillAltered(): void {
    const parts = alteredParts(altered, labels, { onOverlay }, live_ !== null);
    const fill = (name: AlteredName, into: HTMLElement, title: string): void => {
      const controls = name === "cut" ? (live_?.cutting ?? null) : live_ && runPart(name, live_, () => state.node);
      const found = parts[name] ?? [];
      into.replaceChildren(
        ...[controls, h("section", { class: "wl-panel wl-altered", "aria-label": title }, ...found)].filter((one) => one !== null),
      );
    };
    const depends = altered.sources;
    sources.hidden = !depends && !live_;
    if (depends) sources.replaceChildren(...sourcesPart(depends, labels, { onCut: live_?.onCut, onPos: onColumn }));
    else if (live_) sources.replaceChildren(...runPart("sources", live_, () => state.node).childNodes);
    fill("cut", pages.cuts, "The cut");
    fill("hops", pages.hops, "Hop budgets");
    fill("cone", pages.cone, "The light cone");
    fill("orders", pages.orders, "Orders of execution");
  }

  function fillPaths(paths: ScenePaths | null, why: string | null): void {
    followed = { paths, why };
    const shown = shownScene();
    const run = live_ && !paths ? runPart("paths", live_, () => state.node) : null;
    pages.paths.replaceChildren(...[run, pathsPanel(shown, labels, { onPath, onCut: live_?.onCut })].filter((one) => one !== null));
  }

  function chosen() {
    const n = state.n ?? firstCount(ranked, state.sink, columns.labels.length);
    return select(ranked, n, state.sink);
  }

  /** Change what was chosen, draw it, and note it in the address. */
  function change(patch: Partial<State>, note: "push" | "replace" | "none"): void {
    const before = state;
    state = { ...state, ...patch };
    if (page && note !== "none") remember(note);
    if (before.columns !== state.columns) regroup();
    else if (before.n !== state.n || before.sink !== state.sink) selection = chosen();
    keepingFocus(root, () => show(before));
  }

  function remember(how: "push" | "replace"): void {
    const fragment = [live_?.address() ?? "", toFragment(state)].filter(Boolean).join("&");
    const address = fragment ? `#${fragment}` : location.pathname + location.search;
    if (fragment === location.hash.replace(/^#/, "")) return;
    try {
      if (how === "push") history.pushState(null, "", address);
      else history.replaceState(null, "", address);
    } catch {
      // A document without an address of its own cannot remember; nothing else depends on it.
    }
  }

  function recall(): void {
    const before = state;
    state = recalled();
    if (before.columns !== state.columns) regroup();
    selection = chosen();
    cursor = null;
    show(before);
  }

  /** What the address says; the tour is about tokens. */
  function recalled(): State {
    const found = fromFragment(location.hash, bounds);
    return found.step !== null && found.columns !== "tokens" ? { ...found, columns: "tokens", node: null, n: null } : found;
  }

  function onColumns(name: ColumnsName): void {
    if (name === state.columns) return;
    const node = carried(state.node, columns, columnsOf(scene, name));
    change({ columns: name, node, n: null }, "push");
  }

  function regroup(): void {
    columns = columnsOf(scene, state.columns);
    ranked = rank(columns.scene);
    selection = chosen();
    hover = null;
    cursor = null;
    tooltip.columns = columns;
    tooltip.hide();
    lattice.regroup(columns);
  }

  function show(before: State | null): void {
    selector.show(state.columns);
    controls.show(selection, state.sink, columns.grouping ? columns.name : "");
    tabs.show(state.tab);
    claims?.show(state.claim, state.graph);
    root.classList.toggle("wl-wide-aside", covered());
    room?.show(roomOpen());
    showTour();
    if (state.theme) root.dataset["theme"] = state.theme;
    else delete root.dataset["theme"];
    if (before?.theme !== state.theme) lattice.recolour();
    side.replaceChildren(
      state.node
        ? nodePanel(columns, ranked, state.node, sideEvents)
        : strongestPanel(columns, selection, state.layer, sideEvents),
    );
    draw();
    options.onState?.(state, selection);
  }

  function draw(): void {
    const node = hover && "node" in hover ? hover.node : null;
    const edge = hover && "edge" in hover ? hover.edge : null;
    const told = hover || cursor ? null : (tourStep?.light ?? null);
    const at = told && !told.node ? null : (told?.node ?? state.node);
    const heat = tourHeat ?? tourStep?.light.heat ?? tourStep?.choices?.[0]?.heat ?? null;
    lattice.show({
      selection,
      focus: edge ? null : (node ?? cursor ?? at),
      fixed: told ? null : state.node,
      edge: edge ?? ranking(told?.edge ?? null),
      path: pathOver(columns, path ?? told?.path ?? null),
      overlay: tourStep ? together(heat, BLOCKS, null) : overlayOver(columns, overlay),
      layer: tourStep ? (told?.layer ?? null) : state.layer,
      after: altered.cut?.after[0] ?? null,
    });
  }

  /** An edge of the Scene with its rank, as the lattice draws it. */
  function ranking(edge: TourLightEdge): RankedEdge | null {
    if (!edge) return null;
    return ranked.all.edges.find(({ layer, head, src, dst }) => layer === edge.layer && head === edge.head && src === edge.src && dst === edge.dst) ?? null;
  }

  function point(hit: Hit): void {
    hover = hit;
    draw();
  }

  function onPath(found: ScenePath | null): void {
    path = found;
    draw();
  }

  function onOverlay(found: Overlay | null): void {
    overlay = found;
    draw();
  }

  function onHover(hit: Hit, x: number, y: number): void {
    const same = JSON.stringify(hit) === JSON.stringify(hover);
    if (hit) cursor = null;
    if (!hit && !cursor) tooltip.hide();
    if (hit && "edge" in hit) tooltip.showEdge(hit.edge, x, y);
    if (hit && "node" in hit && !same) {
      const at = lattice.reveal(hit.node);
      tooltip.showNode(hit.node, at.x, at.y);
    }
    if (!same) point(hit);
  }

  function onClick(hit: Hit): void {
    if (!hit) fix(null);
    else if ("node" in hit) fix(hit.node);
    else fix({ layer: hit.edge.layer + 1, pos: hit.edge.dst });
  }

  function fix(node: NodeRef | null): void {
    if (JSON.stringify(node) === JSON.stringify(state.node)) return;
    tooltip.hide();
    change({ node }, "push");
  }

  function move(layers: number, along: number): void {
    const from = cursor ?? state.node ?? { layer: bounds.nLayers, pos: columns.labels.length - 1 };
    const fresh = !cursor && !state.node;
    const clamp = (value: number, most: number): number => Math.max(0, Math.min(most, value));
    cursor = {
      layer: clamp(from.layer + (fresh ? 0 : layers), bounds.nLayers),
      pos: clamp(from.pos + (fresh ? 0 : along), columns.labels.length - 1),
    };
    hover = null;
    const at = lattice.reveal(cursor);
    tooltip.showNode(cursor, at.x, at.y);
    live.textContent = nodeWords(cursor);
    draw();
  }

  function nodeWords(node: NodeRef): string {
    const inflow = nodeFacts(columns.scene, node).inflow;
    const net = inflow ? `, net inflow ${signed(inflow.positive + inflow.negative)}` : "";
    return `${columns.labels[node.pos]}, ${columns.noun} ${node.pos}, ${rowName(scene, node.layer)}${net}`;
  }

  /** Cut what is pointed at: an edge, a path's reads, or all that is read of a token. */
  function cutHere(): void {
    if (!live_) {
      live.textContent = "This file cannot run the model: open the text with worldline serve to cut.";
      return;
    }
    const at = hover && "node" in hover ? hover.node : (cursor ?? state.node);
    if (hover && "edge" in hover) live_.onCut(cutOf(columns, hover.edge));
    else if (path) for (const cut of cutsOf(path)) live_.onCut(cut);
    else if (at) live_.onCut(`*.*:${spanOf(columns, at.pos)}>*`);
  }

  function step(by: number): void {
    const last = bounds.nLayers - 1;
    const from = state.layer ?? (by > 0 ? -1 : last + 1);
    const layer = Math.max(0, Math.min(last, from + by));
    const inside = selection.edges.filter((edge) => edge.layer === layer);
    const best: RankedEdge | undefined = inside[0];
    live.textContent =
      `Layer ${layer}: ${inside.length} drawn. ` +
      (best ? `Strongest: ${edgeWords(columns.labels, scene.attribution.unit, best)}` : "");
    change({ layer }, "replace");
  }

  function escape(): void {
    tooltip.hide();
    if (state.step !== null) onStep(null);
    else if (claimsOpen()) {
      if (state.claim !== null) change({ claim: null }, "push");
    } else if (roomOpen()) return;
    else if (hover || cursor) {
      hover = null;
      cursor = null;
      draw();
    } else if (state.layer !== null) change({ layer: null }, "replace");
    else fix(null);
  }

  function isDark(): boolean {
    return state.theme ? state.theme === "dark" : dark.matches;
  }

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const recolour = (): void => lattice.recolour();
  dark.addEventListener("change", recolour);
  const quiet = listenToKeys(page ? document : root, {
    move: (layers, along) => covered() || move(layers, along),
    step: (by) => covered() || step(by),
    turn: (by) => {
      if (state.step !== null) tour.turn(by);
      return state.step !== null;
    },
    escape,
    enter: () => cursor && !covered() && fix(cursor),
    cut: () => covered() || cutHere(),
    help: () => keys.showModal(),
    busy: () => about.open || keys.open,
  });
  if (page) {
    addEventListener("popstate", recall);
    addEventListener("hashchange", recall);
  }
  element.replaceChildren(root);
  fillPaths(scene.paths, scene.paths_left_out);
  fillAltered();
  const unexplained = explainNumbers(root, scene);
  show(null);

  return {
    get state() {
      return state;
    },
    alter({ meanings, ...parts }) {
      Object.assign((scene.meanings ??= {}), meanings);
      altered = { ...altered, ...parts } as Partial<SceneAltered>;
      keepingFocus(root, () => {
        fillAltered();
        showTour();
      });
      draw();
    },
    follow(paths, why, meanings) {
      Object.assign((scene.meanings ??= {}), meanings);
      keepingFocus(root, () => {
        fillPaths(paths, why);
        showTour();
      });
      draw();
    },
    stale(words) {
      shows.textContent = words ?? "";
      shows.hidden = words === null;
      root.classList.toggle("wl-stale", words !== null);
    },
    open,
    choose: (patch) => change(patch, "none"),
    destroy() {
      quiet();
      unexplained();
      lattice.destroy();
      claims?.destroy();
      dark.removeEventListener("change", recolour);
      removeEventListener("popstate", recall);
      removeEventListener("hashchange", recall);
      root.remove();
    },
  };
}
