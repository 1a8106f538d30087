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

export function exportsMenu(wishes: SaveWishes): HTMLElement {
  const trouble = h("p", { class: "wl-trouble", hidden: true });
  const captioned = h("input", { type: "checkbox", checked: true });
  const summary = h("summary", { "aria-label": "Save what is drawn", title: "Save what is drawn", text: "Save" });

  function close(): void {
    if (menu.contains(document.activeElement)) summary.focus();
    menu.open = false;
  }

  async function attempt(label: string, run: () => void | Promise<void>): Promise<void> {
    trouble.hidden = true;
    try {
      await run();
      close();
    } catch (error) {
      trouble.textContent = `${label} could not be saved: ${error instanceof Error ? error.message : String(error)}.`;
      trouble.hidden = false;
      wishes.say(trouble.textContent);
    }
  }

  const entry = (extra: Extra): HTMLElement =>
    "run" in extra
      ? h("li", {}, h("button", { type: "button", text: extra.label, on: { click: () => void attempt(extra.label, extra.run) } }))
      : h("li", {}, h("a", { href: extra.href, download: "", text: extra.label, on: { click: close } }));
  const menu = h(
    "details",
    {
      class: "wl-save",
      on: {
        keydown(event) {
          if (event.key !== "Escape" || !menu.open) return;
          event.stopPropagation(); // Escape means this menu now, not what is fixed on the lattice
          close();
        },
        // Leaving it, by Tab or by a click elsewhere, closes it.
        focusout({ relatedTarget: to }) {
          if (to instanceof Node ? !menu.contains(to) : !menu.matches(":hover")) menu.open = false;
        },
      },
    },
    summary,
    h(
      "div",
      { class: "wl-save-menu", role: "group", "aria-label": "Save as" },
      h("ul", {}, ...pictureEntries(wishes, () => captioned.checked).map(entry)),
      h("label", { class: "wl-check" }, captioned, "with a caption"),
      h("ul", {}, ...[...dataEntries(wishes), ...(wishes.extras ?? [])].map(entry)),
      trouble,
    ),
  );
  return menu;
}

function pictureEntries(wishes: SaveWishes, isCaptioned: () => boolean): Extra[] {
  const drawn = () => picture(wishes.lattice, isCaptioned());
  return [
    { label: "Picture as SVG", run: () => give(wishes, new Blob([drawn().svg], { type: "image/svg+xml" }), "svg") },
    { label: "Picture as PNG", run: async () => give(wishes, await png(drawn()), "png") },
  ];
}

function dataEntries(wishes: SaveWishes): Extra[] {
  const { scene, json } = wishes;
  const saveText = (): void => {
    const { content, name } = textFile(scene);
    save(new Blob([content], { type: "text/plain;charset=utf-8" }), name ?? fileName(scene.text, "txt"));
  };
  return [
    { label: "Scene as JSON", run: () => give(wishes, new Blob([json ?? JSON.stringify(scene)], { type: "application/json" }), "json") },
    { label: "The text", run: saveText },
  ];
}

function give({ scene, say }: SaveWishes, content: Blob, ending: string): void {
  const name = fileName(scene.text, ending);
  save(content, name);
  say(`Saved ${name}`);
}
