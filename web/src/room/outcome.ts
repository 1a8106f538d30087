// Under a message: how its commands ended, what came of them, what the room remarks.
import { h } from "../dom.ts";
import { safeUrl } from "../claims/records.ts";
import { wordsOf } from "./client.ts";
import type { Pictures } from "./pictures.ts";
import { seen } from "./spans.ts";
import type { Given } from "./story.ts";
import { BADGES, ENDS, written } from "./telling.ts";
import type { Hit, Message, Notice } from "./wire.ts";

export function outcomeOf({ command, outcome }: Given, pictures: Pictures): HTMLElement {
  const end = outcome?.end ?? "running";
  const reason = outcome?.reason ?? "it is being done";
  const picture = outcome?.result.picture;
  const hits = Array.isArray(outcome?.result.hits) ? outcome.result.hits : [];
  return h(
    "li",
    { class: `wl-outcome wl-end-${end}` },
    h("p", {}, h("b", { class: "wl-end" }, h("i", { "aria-hidden": "true", text: `${ENDS[end] ?? "…"} ` }), end), " ", h("code", { dir: "auto", text: seen(written(command)) })),
    reason && picture === undefined ? h("p", { class: "wl-outcome-reason", dir: "auto", text: seen(reason) }) : null,
    typeof picture === "string" ? pictureOf(picture, command.arguments[0] ?? "", reason, pictures) : null,
    hits.length > 0 ? h("ol", { class: "wl-hits" }, ...hits.map(hitOf)) : null,
  );
}

function pictureOf(name: string, asked: string, about: string, pictures: Pictures): HTMLElement {
  const image = h("img", { alt: seen(`Picture of: ${asked}`) });
  const caption = h("figcaption", { dir: "auto", text: seen(about) });
  pictures.address(name).then(
    (address) => image.setAttribute("src", address),
    (error: unknown) => {
      image.remove();
      caption.textContent = `The picture did not come: ${wordsOf(error)}`;
    },
  );
  return h("figure", { class: "wl-room-picture" }, image, caption);
}

function hitOf({ title, text, url }: Hit): HTMLElement {
  const link = safeUrl(url);
  return h(
    "li",
    {},
    h("b", { dir: "auto", text: seen(title) }),
    text ? h("p", { dir: "auto", text: seen(text) }) : null,
    link ? h("a", { href: link, target: "_blank", rel: "noopener noreferrer", text: seen(url) }) : h("span", { class: "wl-pale", text: seen(url) }),
  );
}

/** What the message claims without a command, in words. */
export function badges({ claims }: Message): HTMLElement | null {
  const names = [...new Set(claims.map(({ name }) => name))];
  if (names.length === 0) return null;
  return h("ul", { class: "wl-badges" }, ...names.map((name) => h("li", { class: "wl-claim-badge", "data-claim": name, text: BADGES[name] ?? name })));
}

export function remarkOf({ text, code }: Notice): HTMLElement {
  return h("li", { class: "wl-remark", "data-code": code, dir: "auto", text: seen(text) });
}
