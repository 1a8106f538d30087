// What every mark is given to draw itself.
import type { Palette } from "./colours.ts";
import type { Layout, NodeRef, Zoom } from "./layout.ts";
import type { Overlay } from "./overlay.ts";
import type { Scene, ScenePath, ScenePrediction } from "./scene.gen.ts";
import type { RankedEdge, Selection } from "./select.ts";

export interface View {
  scene: Scene;
  labels: string[];
  layout: Layout;
  zoom: Zoom;
  columns: [number, number];
  palette: Palette;
  selection: Selection;
  /** The node in the light: hovered, or else fixed. */
  focus: NodeRef | null;
  /** The fixed node. */
  fixed: NodeRef | null;
  /** The edge in the light. */
  edge: RankedEdge | null;
  /** The path in the light. */
  path: ScenePath | null;
  /** What an altered run lays over everything. */
  overlay: Overlay | null;
  /** The layer in the light. */
  layer: number | null;
  /** What a cut run predicts instead. */
  after: ScenePrediction | null;
  /** The lattice is being panned or zoomed: what is costly may wait until it stands. */
  moving: boolean;
}
