// Puts one Scene into one element: a store, the elements that follow it, and what a host can do with both.
import { untracked } from "@preact/signals-core";
import { announce, change, clickOn, hoverOver, keyEvents, openTab, recall } from "./actions.ts";
import { caption } from "./caption.ts";
import { claimsPanel } from "./claims/panel.ts";
import { Records } from "./claims/records.ts";
import { h } from "./dom.ts";
import { follow, scope, whenEnded } from "./effects.ts";
import type { Mounted, MountOptions } from "./host.ts";
import { listenToKeys } from "./keys.ts";
import { Lattice } from "./lattice.ts";
import { alteredTabs } from "./panels/altered.ts";
import { controls } from "./panels/controls.ts";
import { aboutDialog, keysDialog } from "./panels/dialogs.ts";
import { exportsMenu } from "./panels/exports.ts";
import { header } from "./panels/header.ts";
import { explainNumbers } from "./panels/meaning.ts";
import { pathsPanel } from "./panels/paths.ts";
import { predictionsPanel } from "./panels/predictions.ts";
import { sidePanel } from "./panels/side.ts";
import { sourcesPanel } from "./panels/sources.ts";
import { type Tab, tabs } from "./panels/tabs.ts";
import { tooltip } from "./panels/tooltip.ts";
import type { Scene, SceneAltered } from "./scene.gen.ts";
import { Store } from "./store.ts";
import { tourCard } from "./tour/card.ts";

export type { Live, Mounted, MountOptions } from "./host.ts";

export function mount(element: HTMLElement, scene: Scene, options: MountOptions = {}): Mounted {
  const { result: store, end } = scope(() => begin(element, scene, options));
  return {
    get state() {
      return store.state;
    },
    alter({ meanings, ...parts }) {
      Object.assign((scene.meanings ??= {}), meanings);
      store.update(() => {
        store.altered.value = { ...store.altered.value, ...parts } as Partial<SceneAltered>;
        store.painting.value = null;
        store.showsSevered.value = store.live !== null;
      });
    },
    follow(paths, why, meanings) {
      Object.assign((scene.meanings ??= {}), meanings);
      store.update(() => (store.pathsAnswer.value = { paths, why }));
    },
    stale: (words) => (store.stale.value = words),
    open: (tab) => openTab(store, tab),
    choose: (patch) => change(store, patch, "none"),
    destroy() {
      end();
      store.root?.remove();
    },
  };
}

function begin(element: HTMLElement, scene: Scene, options: MountOptions): Store {
  const store = new Store(scene, options);
  const dialogs = { about: aboutDialog(scene), keys: keysDialog() };
  const records = options.claims ? new Records(options.claims) : null;
  const lattice = latticeOf(store);
  const menu = exportsMenu({ scene, lattice, json: options.json, extras: options.extras, say: (words) => announce(store, words) });
  const shows = h("p", { class: "wl-shows", role: "status", hidden: () => store.stale.value === null, text: () => store.stale.value ?? "" });
  const classes = (): string =>
    ["wl", store.isTouring.value && "wl-touring", store.coveringTab.value && "wl-wide-aside", store.stale.value !== null && "wl-stale"].filter(Boolean).join(" ");
  const root = h(
    "div",
    { class: classes, "data-host": store.isPage ? "page" : "cell", "data-theme": () => store.choices.theme.value },
    header(store, dialogs, menu),
    caption(scene),
    h("div", { class: "wl-centre" }, lattice.element, shows),
    tabs(store, tabsOf(store, records)),
    tourCard(store, records),
    controls(store, dialogs.about),
    h("div", { class: "wl-unseen", role: "status", "aria-live": "polite", text: () => store.announcement.value.words }),
    dialogs.about,
    dialogs.keys,
  );
  store.root = root;
  element.replaceChildren(root);
  whenEnded(listenToKeys(store.isPage ? document : root, keyEvents(store, lattice, dialogs)));
  whenEnded(explainNumbers(root, scene));
  if (store.isPage) listenToAddress(store);
  followOutside(store, options);
  return store;
}

function latticeOf(store: Store): Lattice {
  const lattice = new Lattice(store.columns.value, store.light.value, {
    onHover: (hit, x, y) => hoverOver(store, lattice, hit, x, y),
    onClick: (hit) => clickOn(store, hit),
  });
  lattice.element.append(tooltip(store));
  follow(() => lattice.show(store.columns.value, store.light.value));
  follow(() => {
    void store.isDark.value;
    lattice.recolour();
  });
  whenEnded(() => lattice.destroy());
  return lattice;
}

/** The panels beside the lattice: those of which there is something, or for which something can be run. */
function tabsOf(store: Store, records: Records | null): Tab[] {
  const { live, choices } = store;
  const events = {
    onOpen: (claim: string | null) => change(store, { claim }, "push"),
    onGraph: (graph: boolean) => change(store, { graph }, "replace"),
    onShow: live?.onShow,
  };
  return [
    { name: "why", title: "Why", content: () => [predictionsPanel(store), sourcesPanel(store), sidePanel(store)] },
    { name: "paths", title: "Paths", content: () => pathsPanel(store) },
    ...alteredTabs(store),
    ...(records ? [{ name: "claims", title: "Claims", content: () => [claimsPanel(records, choices, events)] }] : []),
    ...(live?.room ? [{ name: "room", title: "Room", content: () => [live.room?.element] }] : []),
  ];
}

function listenToAddress(store: Store): void {
  const listen = (): void => recall(store);
  for (const event of ["popstate", "hashchange"]) {
    addEventListener(event, listen);
    whenEnded(() => removeEventListener(event, listen));
  }
}

/** Tell the room and the host, once the picture stands in the page. */
function followOutside(store: Store, { onState }: MountOptions): void {
  follow(() => {
    const isOpen = store.coveringTab.value === "room";
    untracked(() => store.live?.room?.show(isOpen));
  });
  if (!onState) return;
  follow(() => {
    const { state } = store;
    const selection = store.selection.value;
    untracked(() => onState(state, selection));
  });
}
