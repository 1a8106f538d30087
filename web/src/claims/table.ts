// The claims as a table: what was said, what came out, how sure, on how many items.
import { figure as numberOf, h } from "../dom.ts";
import { count, plain } from "../format.ts";
import type { ClaimsNode, ClaimsVerdict } from "../claims.gen.ts";
import { intervalWords, type Records } from "./records.ts";
import { marks, wordMark } from "./word.ts";

export function claimsTable(records: Records, claims: ClaimsNode[], open: string | null, onOpen: (id: string) => void): HTMLElement {
  const stop = claims.some(({ id }) => id === open) ? open : claims[0]?.id;
  const rows = claims.map((claim) => row(records, claim, open, claim.id === stop, onOpen));
  const head = ["Claim", "Verdict", "Number, 95 % interval", "Unit", "Items"].map((text) => h("th", { scope: "col", class: text === "Unit" ? "wl-claim-unit" : "", text }));
  const table = h("table", { class: "wl-claims-table" }, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
  table.addEventListener("keydown", (event) => along(event, table));
  return table;
}

function row(records: Records, claim: ClaimsNode, open: string | null, stop: boolean, onOpen: (id: string) => void): HTMLElement {
  const verdict = records.verdict(claim.id);
  const name = h("button", {
    type: "button",
    class: "wl-claim-name",
    "aria-pressed": String(claim.id === open),
    tabindex: stop ? 0 : -1,
    "data-claim": claim.id,
    text: claim.title,
    title: claim.text,
    on: { click: () => onOpen(claim.id) },
  });
  return h(
    "tr",
    { class: claim.id === open ? "wl-open" : "", on: { click: (event) => (event.target as Element).closest("button") || onOpen(claim.id) } },
    h("th", { scope: "row" }, name),
    h("td", {}, wordMark(verdict?.verdict ?? null), ...(verdict ? marks(verdict) : [])),
    h("td", { class: "wl-claim-value" }, ...(verdict ? valueCells(verdict) : [])),
    h("td", { class: "wl-claim-unit wl-pale", title: verdict?.unit ?? "", text: verdict && verdict.value !== null ? verdict.unit : "" }),
    h("td", { class: "wl-claim-n", title: verdict?.counts ?? "" }, verdict && verdict.n > 0 ? count(verdict.n) : ""),
  );
}

function valueCells(verdict: ClaimsVerdict): HTMLElement[] {
  if (verdict.value === null) return [];
  const interval = intervalWords(verdict);
  return [
    numberOf(verdict.value, plain(verdict.value), "wl-claim-number"),
    ...(interval ? [h("span", { class: "wl-pale wl-interval", text: interval })] : []),
  ];
}

/** Up and down go from claim to claim, and open it. */
function along(event: KeyboardEvent, table: HTMLElement): void {
  const names = [...table.querySelectorAll<HTMLElement>(".wl-claim-name")];
  const at = names.indexOf(event.target as HTMLElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: names.length - 1 }[event.key];
  if (at < 0 || to === undefined) return;
  event.preventDefault();
  event.stopPropagation();
  const next = names[Math.max(0, Math.min(names.length - 1, to))];
  next?.focus();
  next?.click();
}
