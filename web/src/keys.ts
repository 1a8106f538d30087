// The keyboard: which key asks for what.

export interface KeyEvents {
  move(layers: number, columns: number): void;
  step(by: number): void;
  enter(): void;
  escape(): void;
  help(): void;
  /** Left or right to whoever shows around; false where nobody does. */
  turn(by: number): boolean;
  /** Cut what is pointed at. */
  cut(): void;
  /** A dialog is open and has the keyboard. */
  busy(): boolean;
}

const MOVES: Record<string, [number, number]> = {
  ArrowUp: [1, 0],
  ArrowDown: [-1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** Listen until the returned function is called. */
export function listenToKeys(where: Document | HTMLElement, events: KeyEvents): () => void {
  const listener = (event: Event): void => {
    if (!(event instanceof KeyboardEvent) || events.busy()) return;
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const target = event.target instanceof HTMLElement ? event.target : null;
    const move = MOVES[event.key];
    const typing = target?.closest("input, textarea, button, a, code, summary, select, .wl-meaning") !== null && target !== null;
    const writing = target?.closest("input[type=text], input[type=number], textarea, select") !== null && target !== null;
    if (writing) return;
    const taken = target?.closest("input, [role=tab], .wl-meaning, code") ?? null;
    if (move && move[0] === 0 && taken === null && events.turn(move[1])) event.preventDefault();
    else if (move && !typing) events.move(...move);
    else if (event.key === "Enter" && !typing) events.enter();
    else if (event.key === "[") events.step(-1);
    else if (event.key === "]") events.step(1);
    else if (event.key === "Escape") events.escape();
    else if (event.key === "?") events.help();
    else if (event.key === "x") events.cut();
    else return;
    event.preventDefault();
  };
  where.addEventListener("keydown", listener);
  return () => where.removeEventListener("keydown", listener);
}
