// What a mark may draw with: the part of a canvas that the SVG export knows too. A mark that uses
// more does not compile, so that no picture can be on the page and not in the file.

export interface Pen
  extends Pick<
    CanvasRenderingContext2D,
    | "globalAlpha"
    | "lineWidth"
    | "beginPath"
    | "moveTo"
    | "lineTo"
    | "bezierCurveTo"
    | "arc"
    | "fillRect"
    | "createLinearGradient"
    | "setLineDash"
  > {
  fillStyle: CanvasRenderingContext2D["fillStyle"];
  strokeStyle: CanvasRenderingContext2D["strokeStyle"];
  lineJoin: CanvasLineJoin;
  fill(): void;
  stroke(): void;
  /** A canvas has no parts; a file names them, so that they can be told apart and picked up. */
  part?(name: string, words: string, draw: () => void): void;
}
