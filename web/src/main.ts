// The one module of the front end: a page, a notebook and a file are three hosts of it.
import { start } from "./live/app.ts";
import { mount } from "./mount.ts";
import type { Scene } from "./scene.gen.ts";
import { render } from "./widget.ts";

export { mount };
export default { render };
export type { Extra } from "./panels/exports.ts";
export type { MountOptions } from "./mount.ts";
export type { Scene };

/** In a file made by Python the Scene lies in the document: draw it at once. */
function boot(): void {
  const data = document.getElementById("worldline-scene");
  const host = document.getElementById("worldline");
  if (host && "live" in host.dataset) void start(host);
  if (!data || !host) return;
  try {
    const json = data.textContent ?? "";
    mount(host, JSON.parse(json) as Scene, { page: true, json });
  } catch (error) {
    const notice = document.createElement("p");
    notice.textContent = `The picture could not be drawn (${String(error)}); here it is as text.`;
    host.prepend(notice);
  }
}

if (typeof document !== "undefined") boot();
