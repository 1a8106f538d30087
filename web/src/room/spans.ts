// A text cut where spans begin and end. Spans count code points, as Python does.

const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu;

export interface Marked<T> {
  start: number;
  end: number;
  mark: T;
}

export interface Piece<T> {
  text: string;
  marks: T[];
}

/** The text in pieces, each with the marks that lie over it; ends beyond the text are cut off. */
export function piecesOf<T>(text: string, spans: readonly Marked<T>[]): Piece<T>[] {
  const chars = Array.from(text);
  const within = (at: number): number => Math.max(0, Math.min(chars.length, at));
  const kept = spans.map(({ start, end, mark }) => ({ start: within(start), end: within(end), mark })).filter(({ start, end }) => start < end);
  const ends = [...new Set([0, chars.length, ...kept.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  return ends.slice(1).map((end, at) => {
    const start = ends[at] ?? 0;
    return {
      text: chars.slice(start, end).join(""),
      marks: kept.filter((one) => one.start <= start && end <= one.end).map(({ mark }) => mark),
    };
  });
}

/** Words as somebody wrote them; what would turn or hide the rest is shown by its number. */
export function seen(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(UNSEEN, (char) => `‹${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, "0")}›`);
}
