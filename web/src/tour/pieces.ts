// What a step of the tour is made of: words, tokens, and numbers of the Scene.
import type { NodeRef } from "../layout.ts";
import type { NumberName } from "../names.ts";
import type { Heat } from "../overlay.ts";
import type { Scene, SceneAltered, SceneEdge, ScenePath } from "../scene.gen.ts";
import type { Selection } from "../select.ts";

/** A number: what the Scene says, how it is shown, and the name of its meaning where there is one. */
export interface TourNumber {
  value: number | string;
  shown: string;
  name?: NumberName;
}

export type Piece = string | { token: string } | TourNumber;

/** What is in the light meanwhile. */
export interface TourLight {
  node?: NodeRef;
  edge?: SceneEdge;
  path?: ScenePath;
  layer?: number;
  heat?: Heat;
}

export interface TourStep {
  title: string;
  text: Piece[];
  /** An image, with its number in it; null where the Scene has none. */
  image: Piece[] | null;
  light: TourLight;
  /** Pictures to choose between, by name. */
  choices?: { name: string; heat: Heat }[];
  /** What could be run to say more. */
  run?: "paths";
  /** Ids of the claims whose verdicts belong here. */
  claims: string[];
}

/** What the tour is about. */
export interface Given {
  scene: Scene;
  labels: string[];
  selection: Selection;
  /** The fixed node, if any. */
  node: NodeRef | null;
  altered: Partial<SceneAltered>;
}

export function numbersIn(pieces: Piece[]): TourNumber[] {
  return pieces.filter((piece): piece is TourNumber => typeof piece === "object" && "value" in piece);
}

/** As a screen reader says it. */
export function plainText(pieces: Piece[]): string {
  return pieces.map((piece) => (typeof piece === "string" ? piece : "token" in piece ? `“${piece.token}”` : piece.shown)).join("");
}
