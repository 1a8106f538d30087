// The conversation as a file: to read, to go on with elsewhere, to show.
import { h } from "../dom.ts";
import { wordsOf } from "./client.ts";
import { seen } from "./spans.ts";

type Form = "md" | "json" | "html";

const FORMS: [Form, string, string][] = [
  ["md", "Markdown", "This branch, to read"],
  ["json", "JSON", "Every branch, with all that the log holds"],
  ["html", "HTML", "This branch as one file, with pictures and strands"],
];

export function savesOf(save: (form: Form) => Promise<void>): HTMLElement {
  const wrong = h("p", { class: "wl-wrong", role: "alert" });
  const run = async (form: Form): Promise<void> => {
    wrong.textContent = "";
    try {
      await save(form);
    } catch (error) {
      wrong.textContent = seen(wordsOf(error));
    }
  };
  const buttons = FORMS.map(([form, text, title]) => h("button", { type: "button", class: "wl-deed", text, title, on: { click: () => void run(form) } }));
  return h("section", { class: "wl-room-part", "aria-label": "Save the conversation" }, h("h3", { text: "Save the conversation" }), h("div", { class: "wl-room-saves" }, ...buttons), wrong);
}
