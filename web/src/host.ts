// What a host gives a picture, and what it gets back.
import type { ClaimsPicture, ClaimsShown } from "./claims.gen.ts";
import type { Extra } from "./panels/exports.ts";
import type { Running } from "./panels/running.ts";
import type { Scene, SceneAltered, ScenePaths } from "./scene.gen.ts";
import type { Selection } from "./select.ts";
import type { State } from "./state.ts";

/** What a host that can run the model gives: a head, a list of cuts, and answers to questions. */
export interface Live extends Running {
  bar: HTMLElement;
  cutting: HTMLElement;
  /** The question, as a part of the address. */
  address(): string;
  onTarget(token: string): void;
  onVersus(token: string): void;
  onCut(cut: string): void;
  /** Several models in one conversation; null where the server has no rooms. */
  room: { element: HTMLElement; show(open: boolean): void } | null;
  /** Ask for the text of a verdict's picture, with its cuts. */
  onShow(picture: ClaimsShown): void;
}

export interface MountOptions {
  /** The picture is the whole page: its state lives in the address, its keys work everywhere. */
  page?: boolean;
  live?: Live;
  /** What is claimed of such models, and what came out on this one. */
  claims?: ClaimsPicture | null;
  /** What is chosen at first, where it is no page. */
  start?: Partial<State>;
  /** Called after each change of what is chosen, and once for the first picture. */
  onState?: (state: State, selection: Selection) => void;
  /** The Scene as it came, so that what is saved is equal to the byte. */
  json?: string;
  /** What the host can save besides: the HTML file, the trace. */
  extras?: Extra[];
}

export interface Mounted {
  /** What is chosen now. */
  readonly state: State;
  /** Show what altered runs said; null takes a part away. */
  alter(parts: { [K in keyof SceneAltered]?: SceneAltered[K] | null } & { meanings?: Scene["meanings"] }): void;
  /** Show paths that were followed later, or why there are none. */
  follow(paths: ScenePaths | null, why: string | null, meanings?: Scene["meanings"]): void;
  /** Mark the picture as that of another question than the one that stands in the fields, or as current (null). */
  stale(words: string | null): void;
  /** Open a panel. */
  open(tab: string): void;
  /** Choose from outside; nothing is noted in the address. */
  choose(patch: Partial<State>): void;
  destroy(): void;
}
