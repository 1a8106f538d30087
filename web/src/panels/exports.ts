// "Save": what is drawn as SVG or PNG, the Scene as JSON, and whatever else the host can give.
import { h } from "../dom.ts";
import { fileName, png, save } from "../export/files.ts";
import { picture } from "../export/picture.ts";
import type { Lattice } from "../lattice.ts";
import type { Scene } from "../scene.gen.ts";

/** An entry of the host's own: an address to fetch from, or something to do. */
export type Extra = { label: string } & ({ href: string } | { run: () => void | Promise<void> });

export interface SaveWishes {
  scene: Scene;
  lattice: Lattice;
  /** The Scene as it came, to the byte; without it, as this page would write it. */
  json?: string | undefined;
  extras?: Extra[] | undefined;
  /** Told to whoever cannot see it happen, or why it did not. */
  say(words: string): void;
}

/** The text as the file that the recipe reads holds it, under its name, where there is such a file. */
export function textFile({ text, reproduce: { recipe } }: Scene): { content: string; name: string | null } {
  const source = recipe && !recipe.words.includes("--chat") ? recipe.text : null; // the text of a chat is not what its recipe reads
  return source?.file ? { content: `${source.before}${text}${source.after}`, name: source.file } : { content: text, name: null };
}

export function exportsMenu({ scene, lattice, json, extras, say }: SaveWishes): HTMLElement {
  const name = (ending: string): string => fileName(scene.text, ending);
  const captioned = h("input", { type: "checkbox", checked: true });
  const drawn = () => picture(lattice, captioned.checked);
  const give = (content: Blob, ending: string): void => {
    save(content, name(ending));
    say(`Saved ${name(ending)}`);
  };
  const svg = (): void => give(new Blob([drawn().svg], { type: "image/svg+xml" }), "svg");
  const pixels = async (): Promise<void> => give(await png(drawn()), "png");
  const words = (): void => {
    const file = textFile(scene);
    save(new Blob([file.content], { type: "text/plain;charset=utf-8" }), file.name ?? name("txt"));
  };
  const wire = (): void => give(new Blob([json ?? JSON.stringify(scene)], { type: "application/json" }), "json");

  const trouble = h("p", { class: "wl-trouble", hidden: true });
  const attempt = async (label: string, run: () => void | Promise<void>): Promise<void> => {
    trouble.hidden = true;
    try {
      await run();
      close();
    } catch (error) {
      trouble.textContent = `${label} could not be saved: ${error instanceof Error ? error.message : String(error)}.`;
      trouble.hidden = false;
      say(trouble.textContent);
    }
  };
  const entry = (label: string, run: () => void | Promise<void>): HTMLElement =>
    h("li", {}, h("button", { type: "button", text: label, on: { click: () => void attempt(label, run) } }));
  const summary = h("summary", { "aria-label": "Save what is drawn", title: "Save what is drawn", text: "Save" });
  const menu = h(
    "details",
    { class: "wl-save", on: { keydown: (event) => keyed(event), focusout: (event) => left(event) } },
    summary,
    h(
      "div",
      { class: "wl-save-menu", role: "group", "aria-label": "Save as" },
      h("ul", {}, entry("Picture as SVG", svg), entry("Picture as PNG", pixels)),
      h("label", { class: "wl-check" }, captioned, "with a caption"),
      h("ul", {}, entry("Scene as JSON", wire), entry("The text", words), ...(extras ?? []).map(extra)),
      trouble,
    ),
  );

  function extra(one: Extra): HTMLElement {
    if ("run" in one) return entry(one.label, one.run);
    return h("li", {}, h("a", { href: one.href, download: "", text: one.label, on: { click: () => close() } }));
  }

  function close(): void {
    if (menu.contains(document.activeElement)) summary.focus();
    menu.open = false;
  }

  function keyed(event: KeyboardEvent): void {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation(); // Escape means this menu now, not what is fixed on the lattice
    close();
  }

  /** Leaving it, by Tab or by a click elsewhere, closes it. */
  function left(event: FocusEvent): void {
    const to = event.relatedTarget;
    if (to instanceof Node ? !menu.contains(to) : !menu.matches(":hover")) menu.open = false;
  }

  return menu;
}
