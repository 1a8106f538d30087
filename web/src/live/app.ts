// The page of `worldline serve`: asks, mounts what is answered, keeps the question in the address.
import { h } from "../dom.ts";
import type { ClaimsPicture, ClaimsShown } from "../claims.gen.ts";
import { mount, type Mounted } from "../root.ts";
import type { Scene } from "../scene.gen.ts";
import { keepingFocus } from "../focus.ts";
import { RoomClient } from "../room/client.ts";
import { RoomPanel } from "../room/panel.ts";
import { START, toFragment } from "../state.ts";
import { asked as weightWords, tokenLabels } from "../facts.ts";
import { clipped, readableText } from "../format.ts";
import { askedFragment, askedFrom, isCut, NOTHING } from "./asked.ts";
import { Asking, type Noting } from "./asking.ts";
import { Bar } from "./bar.ts";
import { Cutting } from "./cutting.ts";
import { type About, Server } from "./server.ts";

const NAMED = 60; // letters of the pictured text, where the field holds another

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
  private readonly asking: Asking;
  private mounted: Mounted | null = null;

  constructor(
    private readonly host: HTMLElement,
    private readonly server: Server,
    about: About,
    private readonly claims: ClaimsPicture | string | null,
  ) {
    this.example = about.example;
    this.room = about.rooms ? new RoomPanel(new RoomClient(server)) : null;
    this.asking = new Asking(askedFrom(location.hash), server, {
      stands: () => this.stands(),
      note: (how) => this.note(how),
      picture: (scene) => keepingFocus(this.host, () => this.draw(scene)),
      alter: (parts) => this.mounted?.alter(parts),
      follow: ({ paths, paths_left_out: why, meanings }) => this.mounted?.follow(paths, why, meanings),
      doing: (line, seconds) => this.bar.doing(line, seconds),
      quiet: (words) => this.bar.quiet(words),
    });
    this.bar = new Bar(about.model, {
      onAsk: (draft) => void this.asking.askInstead(draft),
      onDraft: () => this.stands(),
      onCancel: () => this.asking.stop(),
    });
    this.cutting = new Cutting({ onCuts: (cuts, cutHow, patchFrom) => void this.asking.cut({ cuts, cutHow, patchFrom }) });
    addEventListener("popstate", () => void this.recall());
  }

  async begin(): Promise<void> {
    const { asking } = this;
    if (!asking.asked.text) asking.asked = { ...asking.asked, text: this.example };
    this.showEmpty();
    await asking.ask(asking.asked, "address");
    if (typeof this.claims === "string") this.bar.quiet(this.claims);
  }

  /** What a verdict wants to be seen: its text, its target, its cuts, in the lattice. */
  private showPicture({ text, target, versus, cuts, how }: ClaimsShown): Promise<void> {
    const cutHow = (["zero", "mask", "patch"] as const).find((one) => one === how) ?? NOTHING.cutHow;
    return this.asking.ask({ ...NOTHING, text, target: target ?? "", versus: versus ?? "", cuts: cuts.filter(isCut), cutHow }, "verdict");
  }

  /** What lies in the address is asked again if it is another question. */
  private async recall(): Promise<void> {
    const asked = askedFrom(location.hash);
    if (!asked.text) asked.text = this.example;
    if (askedFragment(asked) === askedFragment(this.asking.asked)) {
      if (this.asking.pending) this.asking.stop();
      return;
    }
    await this.asking.ask(asked, "address");
  }

  /** Fields, list of cuts and marks as things stand. */
  private stands(): void {
    const { wanted, pending, scene } = this.asking;
    if (pending) this.bar.show(wanted, scene);
    this.cutting.show(wanted, scene ? tokenLabels(scene) : [], pending !== null && pending.cuts !== this.asking.asked.cuts);
    const elsewhere = scene !== null && this.asking.isElsewhere(this.bar.draft());
    this.mounted?.stale(elsewhere ? `This picture shows: “${clipped(readableText(this.asking.asked.text), NAMED)}”, ${weightWords(scene)}` : null);
  }

  /** The question that is pictured, in the address; a new text begins with nothing chosen. */
  private note(how: Noting): void {
    const { asked } = this.asking;
    const theme = this.mounted?.state.theme ?? null;
    const other = askedFrom(location.hash);
    const isOther = asked.text !== (other.text || this.example) || asked.chat !== other.chat;
    const plain = { ...START, theme, ...(how === "verdict" && asked.cuts.length > 0 ? { tab: "cuts" } : {}) };
    const state = this.mounted && !isOther && how !== "verdict" ? this.mounted.state : plain;
    const fragment = [askedFragment(asked), toFragment(state)].filter(Boolean).join("&");
    if (`#${fragment}` !== location.hash) history.pushState(null, "", `#${fragment}`);
  }

  private showEmpty(): void {
    const room = new URLSearchParams(location.hash.slice(1)).get("tab") === "room" ? this.room : null;
    const aside = room && h("main", { class: "wl-aside wl-room-first" }, room.element);
    this.host.replaceChildren(
      h("div", { class: `wl wl-empty ${aside ? "wl-wide-aside" : ""}`.trim(), "data-host": "page" }, h("header", { class: "wl-header" }, this.bar.element), aside),
    );
    this.bar.show(this.asking.asked, null);
    room?.show(true); // a room can be followed before there is a lattice
  }

  private draw(scene: Scene): void {
    const { asking } = this;
    this.mounted?.destroy();
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
        address: () => askedFragment(asking.asked),
        onTarget: (target) => {
          const { versus, by } = asking.ofPicture;
          void asking.ask({ ...asking.ofPicture, target, versus: target === versus ? "" : versus, by: by === "contribution" ? "gradient" : by });
        },
        onVersus: (versus) => {
          const { target, by } = asking.ofPicture;
          void asking.ask({ ...asking.ofPicture, versus, target: target || `id:${scene.predictions[0]?.id ?? 0}`, by: by === "contribution" ? "gradient" : by });
        },
        onCut: (cut) => {
          this.mounted?.open("cuts");
          this.cutting.add(cut);
        },
        onShow: (picture) => void this.showPicture(picture),
        onSources: () => void asking.sources(),
        onPaths: () => void asking.paths(),
        onHops: (most) => void asking.part("hops", { ask: "hops", max_hops: most }),
        onCone: (node) => void asking.part("cone", { ask: "cone", at: `${node.layer},${node.pos}` }),
        onOrders: () => void asking.part("orders", { ask: "orders" }),
      },
    });
    this.bar.show(asking.asked, scene);
    this.stands();
  }

  private async savePage(): Promise<void> {
    const { see, parts } = this.asking.ids;
    const others = [...parts.values()].map((id) => `with=${id}`).join("&");
    await this.saving(`api/questions/${see}/page.html?${others}`, "worldline.html");
  }

  private async saveTrace(): Promise<void> {
    const id = await this.asking.trace();
    if (id) await this.saving(`api/questions/${id}/trace.safetensors`, "worldline.safetensors");
  }

  private async saving(path: string, name: string): Promise<void> {
    try {
      await this.server.save(path, name);
    } catch (error) {
      this.bar.quiet(error instanceof Error ? error.message : String(error));
    }
  }
}
