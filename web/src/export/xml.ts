// XML from text that may hold anything.

const MEANT: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
// What XML 1.0 cannot hold, not even as a reference: controls, lone surrogates, two non-characters.
const FORBIDDEN = /^[\0-\x08\x0b\x0c\x0e-\x1f\p{Cs}\ufffe\uffff]$/u;

/** Text as it stands inside an element or an attribute; what XML forbids is named instead. */
export function xmlText(text: string): string {
  return Array.from(text, (char) => {
    if (!FORBIDDEN.test(char)) return MEANT[char] ?? char;
    return `‹${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, "0")}›`;
  }).join("");
}

/** One element; `inside` is XML already. Attributes that are undefined are left out. */
export function tag(
  name: string,
  attributes: Record<string, string | number | undefined>,
  inside = "",
): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${typeof value === "number" ? short(value) : xmlText(String(value))}"`)
    .join("");
  return inside === "" ? `<${name}${written}/>` : `<${name}${written}>${inside}</${name}>`;
}

/** A length or an opacity: a thousandth is more than a screen or a printer shows. */
export function short(value: number): string {
  return String(Math.round(value * 1000) / 1000);
}
