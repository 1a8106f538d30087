// What is asked and what is pictured: every question on its way, and whether its answer is still wanted. No DOM.
import type { Scene, SceneAltered, ScenePaths } from "../scene.gen.ts";
import { type Asked, isPatchUntold, sameCuts, samePicture, sameText } from "./asked.ts";
import type { ConeQuestion, CutQuestion, HopsQuestion, OrdersQuestion, Question } from "../question.gen.ts";
import { type Answered, NoAnswer, type Progress } from "./server.ts";

/** A question about the text that is pictured: it is filled in when it is asked. */
type Untexted<Q> = Q extends Question ? Omit<Q, "text" | "chat"> : never;
export type AlteredQuestion = Untexted<CutQuestion | HopsQuestion | ConeQuestion | OrdersQuestion>;
export type Part = "cut" | "sources" | "hops" | "cone" | "orders";
type Altered = Partial<SceneAltered> & { meanings?: Scene["meanings"] };
type Followed = { paths: ScenePaths | null; paths_left_out: string | null; meanings?: Scene["meanings"] };

const CUT_EACH_UP_TO = 40; // tokens: one run for each, without being asked

/** Who answers: one question at a time, a newer one stops the one before. */
export interface Answers {
  ask<T>(question: Question, heard: (progress: Progress) => void): Promise<Answered<T>>;
  cancel(): void;
}

/** What shows it. */
export interface Page {
  /** A question is on its way, was answered or was given up: the lists follow `wanted`, the marks `asked`. */
  stands(): void;
  /** Write what is pictured into the address; `how` it came there. */
  note(how: Noting): void;
  picture(scene: Scene): void;
  alter(parts: { cut?: null } | Altered): void;
  follow(found: Followed): void;
  doing(line: string, seconds: number): void;
  quiet(words?: string): void;
}

/** "address": it came from there. "verdict": a claim's picture, its tab open. */
export type Noting = "question" | "address" | "verdict";

/**
 * `asked` is what the picture shows: address, list of cuts, panel and exported file follow it, and it changes only
 * with the picture. `pending` is on its way. An answer is shown only while nobody asked or stopped anything since.
 */
export class Asking {
  asked: Asked;
  pending: Asked | null = null;
  scene: Scene | null = null;
  /** The questions whose answers are shown, for the exported file. */
  readonly ids: { see: string; parts: Map<string, string> } = { see: "", parts: new Map() };
  private turn = 0;

  constructor(
    asked: Asked,
    private readonly server: Answers,
    private readonly page: Page,
  ) {
    this.asked = asked;
  }

  /** What is on its way, or else what is pictured. */
  get wanted(): Asked {
    return this.pending ?? this.asked;
  }

  /** What is on its way if it is about the text that is pictured, or else what is pictured. */
  get ofPicture(): Asked {
    return sameText(this.wanted, this.asked) ? this.wanted : this.asked;
  }

  /** Ask with other words in the fields. Cuts name places of one text: they go where it is another. */
  async askInstead(draft: Pick<Asked, "text" | "chat"> & Partial<Asked>): Promise<void> {
    const { wanted } = this;
    await this.ask({ ...wanted, ...draft, cuts: sameText(draft, wanted) ? wanted.cuts : [] });
  }

  /** Picture another question; what was pictured stays until the answer is there. */
  async ask(wanted: Asked, noting: Noting = "question"): Promise<void> {
    const turn = this.take(wanted);
    const { text, chat, by, how, cuts } = wanted;
    const aims = { ...(by === "gradient" ? { how } : {}), ...aimOf(wanted) };
    const found = await this.run<Scene>(turn, { ask: "trace", text, chat, by, paths: false, ...aims });
    if (turn !== this.turn) return;
    this.pending = null;
    if (!found) {
      if (noting === "address" && this.scene) this.page.note("question");
      this.page.stands();
      return;
    }
    this.ids.see = found.id;
    this.ids.parts.clear();
    this.scene = found.value;
    this.asked = { ...wanted, cuts: [] };
    const other = { ...this.asked, cuts };
    if (noting !== "address") this.noteAs(other, noting);
    this.page.picture(found.value);
    if (found.value.tokens.length <= CUT_EACH_UP_TO) {
      if (cuts.length > 0) this.pending = other; // the list shows what is still to be cut
      this.page.stands();
      await this.alter(turn, "sources", this.sourcesQuestion());
      if (turn !== this.turn) return;
    }
    if (cuts.length > 0) await this.cut(other);
  }

  /** Cut what is wanted, or show the plain run again where that is nothing. */
  async cut(wanted: Pick<Asked, "cuts" | "cutHow" | "patchFrom">): Promise<void> {
    const { cuts, cutHow, patchFrom } = wanted;
    const next = { ...this.asked, cuts, cutHow, patchFrom };
    const shown = this.ids.parts.has("cut");
    if (cuts.length === 0 || isPatchUntold(next) || (shown && sameCuts(next, this.asked))) {
      this.drop();
      if (!(shown && sameCuts(next, this.asked))) this.uncut();
      this.asked = next;
      this.page.note("question");
      this.page.stands();
      this.page.quiet(isPatchUntold(next) ? "A patch needs another text, whose K and V are taken: type it in the Cut panel." : "");
      return;
    }
    const turn = this.take(next);
    const edges = cuts.filter((one) => one.includes(">"));
    const nodes = cuts.filter((one) => !one.includes(">"));
    const found = await this.alter(turn, "cut", {
      ask: "cut",
      edges,
      nodes,
      ...(edges.length > 0 ? { how: cutHow } : {}),
      ...(nodes.length > 0 ? { node_how: "zero" } : {}),
      ...(cutHow === "patch" ? { patch_from: patchFrom } : {}),
      ...aimOf(this.asked),
    });
    if (turn !== this.turn) return;
    this.pending = null;
    if (found) this.asked = next;
    this.page.note("question");
    this.page.stands();
  }

  /** Any other altered run of what is pictured. */
  async part(name: Part, question: AlteredQuestion): Promise<void> {
    await this.alter(this.only(), name, question);
  }

  async sources(): Promise<void> {
    await this.part("sources", this.sourcesQuestion());
  }

  async paths(): Promise<void> {
    const found = await this.run<Followed>(this.only(), { ...this.live(), ask: "paths", ...aimOf(this.asked) });
    if (!found) return;
    this.ids.parts.set("paths", found.id);
    this.page.follow(found.value);
  }

  /** The id of the recorded run's file, once it is there. */
  async trace(): Promise<string | null> {
    return (await this.run<{ bytes: number }>(this.only(), { ...this.live(), ask: "save" }))?.id ?? null;
  }

  /** Stop what is on its way: what is pictured stays, and the lists show it again. */
  stop(): void {
    this.drop();
    if (this.scene) this.page.note("question");
    this.page.quiet("Stopped.");
    this.page.stands();
  }

  /** Whether a question is another one than the picture's. */
  isElsewhere(question: Pick<Asked, "text" | "chat" | "by" | "how" | "target" | "versus">): boolean {
    return this.scene !== null && !samePicture(question, this.asked);
  }

  private sourcesQuestion(): AlteredQuestion {
    const { by, target, cutHow } = this.wanted;
    const aims = by === "contribution" || !target ? {} : { target };
    return { ask: "cut", each: true, how: cutHow === "zero" ? "zero" : "mask", ...aims };
  }

  private async alter(turn: number, part: Part, question: AlteredQuestion): Promise<boolean> {
    const found = await this.run<Altered>(turn, { ...this.live(), ...question });
    if (!found) return false;
    this.ids.parts.set(part, found.id);
    this.page.alter(found.value);
    return true;
  }

  private uncut(): void {
    this.ids.parts.delete("cut");
    this.page.alter({ cut: null });
  }

  /** The text of the picture: parts of another text do not belong on it. */
  private live(): Pick<Asked, "text" | "chat"> {
    return { text: this.asked.text, chat: this.asked.chat };
  }

  private noteAs(asked: Asked, noting: Noting): void {
    const own = this.asked;
    this.asked = asked; // a link has the cuts that are about to be made again
    this.page.note(noting);
    this.asked = own;
  }

  private take(pending: Asked | null): number {
    this.turn += 1;
    this.pending = pending;
    this.page.stands();
    return this.turn;
  }

  /** A run about the picture itself: a question that was on its way is given up. */
  private only(): number {
    const turn = this.take(null);
    this.page.note("question");
    return turn;
  }

  private drop(): void {
    this.turn += 1;
    this.pending = null;
    this.server.cancel();
  }

  /** Ask; say what happens meanwhile and what went wrong. Null where there is no answer, or nobody wants it now. */
  private async run<T>(turn: number, question: Question): Promise<Answered<T> | null> {
    const mine = (): boolean => turn === this.turn;
    try {
      this.page.doing("asking", 0);
      const found = await this.server.ask<T>(question, ({ line, seconds }) => {
        if (mine()) this.page.doing(line, seconds);
      });
      if (!mine()) return null;
      this.page.quiet();
      return found;
    } catch (error) {
      if (!mine()) return null;
      const words = error instanceof Error ? error.message : String(error);
      this.page.quiet(error instanceof NoAnswer && error.stopped ? "Stopped." : words);
      return null;
    }
  }
}

function aimOf({ by, target, versus }: Asked): { target?: string; versus?: string } {
  return by === "contribution" ? {} : { ...(target ? { target } : {}), ...(versus ? { versus } : {}) };
}
