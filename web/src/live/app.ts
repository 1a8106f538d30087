// The page of `worldline serve`: asks, mounts what is answered, keeps the question in the address.
import { h } from "../dom.ts";
import { tokenLabels } from "../facts.ts";
import type { ClaimsPicture, ClaimsShown } from "../claims.gen.ts";
import { mount, type Mounted } from "../mount.ts";
import type { Scene, SceneAltered, ScenePaths } from "../scene.gen.ts";
import { keepingFocus } from "../focus.ts";
import { RoomClient } from "../room/client.ts";
import { RoomPanel } from "../room/panel.ts";
import { START, toFragment } from "../state.ts";
import { type Asked, askedFragment, askedFrom, type How, isCut, NOTHING } from "./asked.ts";
import { Bar } from "./bar.ts";
import { Cutting } from "./cutting.ts";
import { type About, NoAnswer, type Question, Server } from "./server.ts";

type Part = "cut" | "sources" | "hops" | "cone" | "orders";

const CUT_EACH_UP_TO = 40; // tokens: one run for each, without being asked
type Live = Pick<Asked, "text" | "chat">;

export async function start(host: HTMLElement): Promise<void> {
  const server = new Server("", takeToken());
  const waiting = h("p", { class: "wl-hint wl-waiting", role: "status", text: "Asking the model …" });
  host.replaceChildren(h("div", { class: "wl wl-empty" }, waiting));
  try {
    const [about, claims] = await Promise.all([server.about(), claimsOf(server)]);
    await new App(host, server, about, claims).begin();
  } catch (error) {
    waiting.textContent = error instanceof Error ? error.message : String(error);
  }
}

/** The claims, or in one line why there are none. */
async function claimsOf(server: Server): Promise<ClaimsPicture | string | null> {
  try {
    return await server.claims();
  } catch (error) {
    return `The claims are not here: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** The token of the address, out of sight and kept while the tab is open. */
function takeToken(): string | null {
  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get("token");
  if (token === null) return sessionStorage.getItem("worldline-token");
  sessionStorage.setItem("worldline-token", token);
  given.delete("token");
  history.replaceState(null, "", `#${given}`);
  return token;
}

class App {
  private readonly bar: Bar;
  private readonly cutting: Cutting;
  private readonly example: string;
  private readonly room: RoomPanel | null;
  private asked: Asked;
  private scene: Scene | null = null;
  private mounted: Mounted | null = null;
  /** The questions whose answers are shown, for the exported file. */
  private ids: { see: string; parts: Map<string, string> } = { see: "", parts: new Map() };

  constructor(
    private readonly host: HTMLElement,
    private readonly server: Server,
    about: About,
    private readonly claims: ClaimsPicture | string | null,
  ) {
    this.example = about.example;
    this.room = about.rooms ? new RoomPanel(new RoomClient(server)) : null;
    this.asked = askedFrom(location.hash);
    this.bar = new Bar(about.model, {
      onAsk: (patch) => void this.ask({ ...this.asked, ...patch, ...(patch.text === this.asked.text ? {} : { cuts: [] }) }),
      onCancel: () => {
        server.cancel();
        this.bar.quiet("Stopped.");
      },
    });
    this.cutting = new Cutting({ onCuts: (cuts, cutHow, spliceFrom) => void this.cut(cuts, cutHow, spliceFrom) });
    addEventListener("popstate", () => void this.recall());
  }

  async begin(): Promise<void> {
    if (!this.asked.text) this.asked = { ...this.asked, text: this.example };
    this.showEmpty();
    await this.see();
    if (typeof this.claims === "string") this.bar.quiet(this.claims);
  }

  /** What a verdict wants to be seen: its text, its target, its cuts, in the lattice. */
  private async showPicture({ text, target, versus, cuts, how }: ClaimsShown): Promise<void> {
    const tab = cuts.length > 0 ? "cuts" : null;
    const kept = { ...START, theme: this.mounted?.state.theme ?? null, tab };
    const cutHow = (["drop", "mask", "splice"] as const).find((one) => one === how) ?? NOTHING.cutHow;
    this.asked = { ...NOTHING, text, target: target ?? "", versus: versus ?? "", cuts: cuts.filter(isCut), cutHow };
    history.pushState(null, "", `#${[askedFragment(this.asked), toFragment(kept)].filter(Boolean).join("&")}`);
    await this.see();
  }

  /** Ask something else, and note it in the address. */
  private async ask(asked: Asked): Promise<void> {
    const other = asked.text !== this.asked.text || asked.chat !== this.asked.chat;
    this.asked = asked;
    this.remember(other);
    await this.see();
  }

  /** What lies in the address is asked again if it is another question. */
  private async recall(): Promise<void> {
    const asked = askedFrom(location.hash);
    if (!asked.text) asked.text = this.example;
    if (askedFragment(asked) === askedFragment(this.asked)) return;
    this.asked = asked;
    await this.see();
  }

  private remember(other: boolean): void {
    const kept = this.mounted && !other ? toFragment(this.mounted.state) : toFragment({ ...START, theme: this.mounted?.state.theme ?? null });
    const fragment = [askedFragment(this.asked), kept].filter(Boolean).join("&");
    if (`#${fragment}` !== location.hash) history.pushState(null, "", `#${fragment}`);
  }

  private async see(): Promise<void> {
    const { text, chat, by, how, target, versus, cuts } = this.asked;
    this.bar.show(this.asked, this.scene);
    const aims = by !== "share";
    const found = await this.run<Scene>({
      ask: "see",
      text,
      chat,
      by,
      paths: false,
      ...(by === "gradient" ? { how } : {}),
      ...(aims && target ? { target } : {}),
      ...(aims && versus ? { versus } : {}),
    });
    if (!found) return;
    this.ids = { see: found.id, parts: new Map() };
    this.show(found.value);
    if (found.value.tokens.length <= CUT_EACH_UP_TO) await this.sources();
    if (cuts.length > 0) await this.cut(cuts, this.asked.cutHow, this.asked.spliceFrom, false);
  }

  /** Run what is cut, or show the plain run again where nothing is. */
  private async cut(cuts: string[], cutHow: How, spliceFrom: string, fresh = true): Promise<void> {
    this.asked = { ...this.asked, cuts, cutHow, spliceFrom };
    if (fresh) this.remember(false);
    this.cutting.show(this.asked, this.labels());
    this.ids.parts.delete("cut");
    if (cuts.length === 0) {
      this.mounted?.alter({ cut: null });
      return;
    }
    if (cutHow === "splice" && !spliceFrom) {
      this.bar.quiet("A splice needs another text, whose K and V are taken: type it in the Cut panel.");
      return;
    }
    const { target, versus, by } = this.asked;
    const asks = by === "share" ? {} : { ...(target ? { target } : {}), ...(versus ? { versus } : {}) };
    const edges = cuts.filter((one) => one.includes(">"));
    const nodes = cuts.filter((one) => !one.includes(">"));
    await this.alter("cut", {
      ask: "cut",
      edges,
      nodes,
      ...(edges.length > 0 ? { how: cutHow } : {}),
      ...(nodes.length > 0 ? { node_how: "zero" } : {}),
      ...(cutHow === "splice" ? { splice_from: spliceFrom } : {}),
      ...asks,
    });
  }

  private async alter(part: Part, question: { ask: string; [name: string]: unknown }): Promise<void> {
    const found = await this.run<Partial<SceneAltered> & { meanings?: Scene["meanings"] }>({ ...this.live(), ...question });
    if (!found) return;
    this.ids.parts.set(part, found.id);
    this.mounted?.alter(found.value);
  }

  private async sources(): Promise<void> {
    const { by, target, cutHow } = this.asked;
    const asks = by === "share" || !target ? {} : { target };
    await this.alter("sources", { ask: "sources", how: cutHow === "drop" ? "drop" : "mask", ...asks });
  }

  private async paths(): Promise<void> {
    const { by, target, versus } = this.asked;
    const asks = by === "share" ? {} : { ...(target ? { target } : {}), ...(versus ? { versus } : {}) };
    const found = await this.run<{ paths: ScenePaths | null; paths_left_out: string | null; meanings?: Scene["meanings"] }>({ ...this.live(), ask: "paths", ...asks });
    if (!found) return;
    this.ids.parts.set("paths", found.id);
    this.mounted?.follow(found.value.paths, found.value.paths_left_out, found.value.meanings);
  }

  private live(): Live {
    return { text: this.asked.text, chat: this.asked.chat };
  }

  private labels(): string[] {
    return this.scene ? tokenLabels(this.scene) : [];
  }

  /** Ask the server; say what happens meanwhile and what went wrong. Null where there is no answer. */
  private async run<T>(question: Question): Promise<{ id: string; value: T } | null> {
    try {
      this.bar.doing("asking", 0);
      const found = await this.server.ask<T>(question, ({ line, seconds }) => this.bar.doing(line, seconds));
      this.bar.quiet();
      return found;
    } catch (error) {
      if (error instanceof NoAnswer && error.stopped) return null; // something newer is on its way, or it was cancelled
      this.bar.quiet(error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  private showEmpty(): void {
    const room = new URLSearchParams(location.hash.slice(1)).get("tab") === "room" ? this.room : null;
    const aside = room && h("main", { class: "wl-aside wl-room-first" }, room.element);
    this.host.replaceChildren(
      h("div", { class: `wl wl-empty ${aside ? "wl-wide-aside" : ""}`.trim(), "data-host": "page" }, h("header", { class: "wl-header" }, this.bar.element), aside),
    );
    this.bar.show(this.asked, null);
    room?.show(true); // a room can be followed before there is a lattice
  }

  private show(scene: Scene): void {
    this.scene = scene;
    keepingFocus(this.host, () => this.draw(scene));
  }

  private draw(scene: Scene): void {
    this.mounted?.destroy();
    this.cutting.show(this.asked, this.labels());
    this.mounted = mount(this.host, scene, {
      page: true,
      claims: typeof this.claims === "string" ? null : this.claims,
      extras: [
        { label: "This page as one HTML file", run: () => void this.savePage() },
        { label: "The trace as safetensors", run: () => void this.saveTrace() },
      ],
      live: {
        bar: this.bar.element,
        cutting: this.cutting.element,
        room: this.room,
        address: () => askedFragment(this.asked),
        onTarget: (target) => void this.ask({ ...this.asked, target, versus: target === this.asked.versus ? "" : this.asked.versus, by: this.asked.by === "share" ? "gradient" : this.asked.by }),
        onVersus: (versus) => void this.ask({ ...this.asked, versus, target: this.asked.target || `id:${scene.predictions[0]?.id ?? 0}` }),
        onCut: (cut) => {
          this.mounted?.open("cuts");
          this.cutting.add(cut);
        },
        onShow: (picture) => void this.showPicture(picture),
        onSources: () => void this.sources(),
        onPaths: () => void this.paths(),
        onHops: (most) => void this.alter("hops", { ask: "hops", max_hops: most }),
        onCone: (node) => void this.alter("cone", { ask: "cone", layer: node.layer, pos: node.pos }),
        onOrders: () => void this.alter("orders", { ask: "orders" }),
      },
    });
    this.bar.show(this.asked, scene);
  }

  private async savePage(): Promise<void> {
    const parts = [...this.ids.parts.values()].map((id) => `with=${id}`).join("&");
    await this.saving(`api/questions/${this.ids.see}/page.html?${parts}`, "worldline.html");
  }

  private async saveTrace(): Promise<void> {
    const found = await this.run<{ bytes: number }>({ ...this.live(), ask: "trace" });
    if (found) await this.saving(`api/questions/${found.id}/trace.safetensors`, "worldline.safetensors");
  }

  private async saving(path: string, name: string): Promise<void> {
    try {
      await this.server.save(path, name);
    } catch (error) {
      this.bar.quiet(error instanceof Error ? error.message : String(error));
    }
  }
}

