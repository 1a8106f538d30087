// Words and numbers as a person reads them. Twin of src/worldline/views/labels.py.

const NAMED: Record<string, string> = { " ": "·", "\n": "⏎", "\t": "⇥" };
const JOINERS = "\u200c\u200d";
const INVISIBLE = /^[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]$/u;
const SPACE = /^\p{Zs}$/u;
const MARK = /^\p{M}$/u;

/** Show every character of a token: no control, no invisible or reordering character survives. */
export function visibleText(text: string): string {
  if (text === "") return "∅";
  const chars = Array.from(text);
  return chars
    .map((char, at) => {
      const named = NAMED[char];
      if (named !== undefined) return named;
      if (JOINERS.includes(char) && at > 0 && at < chars.length - 1) return char;
      if (INVISIBLE.test(char)) return `‹${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, "0")}›`;
      if (SPACE.test(char)) return "␣";
      if (at === 0 && MARK.test(char)) return `◌${char}`;
      return char;
    })
    .join("");
}

const BLANKS: Record<string, [sign: string, word: string]> = { " ": ["␣", "space"], "\n": ["⏎", "newline"], "\t": ["⇥", "tab"] };

/** A token that stands alone, such as a prediction: one of nothing but blanks is named in words as well. */
export function tokenName(text: string): string {
  if (!/^[ \n\t]+$/.test(text)) return visibleText(text);
  const runs = text.match(/ +|\n+|\t+/g) ?? [];
  const named = runs.map((run) => {
    const [sign, word] = BLANKS[run[0] ?? ""] ?? ["", ""];
    return run.length === 1 ? `${sign} ${word}` : `${sign.repeat(Math.min(3, run.length))} ${run.length} ${word}s`;
  });
  return named.join(", ");
}

/** As visibleText, for whole sentences: spaces stay spaces. */
export function readableText(text: string): string {
  return text === "" ? "" : visibleText(text).replaceAll("·", " ");
}

/** Cut a text to so many characters, with an ellipsis where something went. */
export function clipped(text: string, length: number): string {
  const chars = Array.from(text);
  return chars.length <= length ? text : `${chars.slice(0, Math.max(0, length - 1)).join("")}…`;
}

/** A weight with its sign and three significant digits. */
export function signed(weight: number): string {
  if (weight === 0) return "0";
  return `${weight > 0 ? "+" : "−"}${plain(Math.abs(weight))}`;
}

/** A number with three significant digits, no sign added. */
export function plain(value: number): string {
  const size = Number(Math.abs(value).toPrecision(3)); // 0.0099999 has the digits of 0.0100
  if (size === 0) return "0";
  const sign = value < 0 ? "−" : "";
  if (size >= 1e-3 && size < 1e4) {
    return sign + size.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
  }
  const [digits, power] = size.toExponential(2).split("e");
  return `${sign}${digits}e${power?.replace("+", "").replace("-", "−")}`;
}

/** Two significant digits, as what a number has to exceed is given; no zeros behind. */
export function rough(value: number): string {
  const [digits, power] = value.toExponential(1).split("e");
  if (value === 0 || Number(power) >= -4) return String(Number(value.toPrecision(2)));
  return `${Number(digits)}e${power?.replace("-", "−")}`;
}

/** A share of one as a percentage that never rounds up to all or down to nothing. */
export function percent(part: number): string {
  const size = Math.abs(part);
  const shown = (digits: number): string => `${(part * 100).toFixed(digits).replace("-", "−")} %`;
  if (size === 0 || Math.abs(size - 1) <= 1e-9) return shown(0);
  if (size < 0.001) return "<0.1 %";
  if (size > 0.999 && size < 1) return ">99.9 %";
  if (size < 0.1 || (size >= 0.99 && size < 1)) return shown(1);
  return shown(0);
}

/** A probability from its logarithm in nats. */
export function chance(logprob: number): string {
  return percent(Math.exp(Math.min(0, logprob)));
}

/** A whole number with thousands separated. */
export function count(number: number): string {
  return number.toLocaleString("en-US");
}

/** A number and its noun, in the plural where needed. */
export function counted(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}
