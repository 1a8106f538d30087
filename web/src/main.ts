// The one module of the front end: a page, a notebook and a file are three hosts of it.
import type { ClaimsPicture } from "./claims.gen.ts";
import { mountClaims } from "./claims/alone.ts";
import { start } from "./live/app.ts";
import { mount } from "./root.ts";
import type { Scene } from "./scene.gen.ts";
import { render } from "./widget.ts";

export { mount };
export default { render };
export type { Extra } from "./panels/exports.ts";
export type { MountOptions } from "./root.ts";
export type { Scene };

/** In a file made by Python the Scene, the claims or both lie in the document: draw them at once. */
function boot(): void {
  const data = document.getElementById("worldline-scene");
  const host = document.getElementById("worldline");
  const records = document.getElementById("worldline-claims");
  if (host && "live" in host.dataset) void start(host);
  if (!host || (!data && !records)) return;
  try {
    const claims = records ? (JSON.parse(records.textContent ?? "") as ClaimsPicture) : null;
    const json = data?.textContent ?? "";
    if (data) mount(host, JSON.parse(json) as Scene, { page: true, json, claims });
    else if (claims) mountClaims(host, claims);
  } catch (error) {
    const notice = document.createElement("p");
    notice.textContent = `The picture could not be drawn (${String(error)}); here it is as text.`;
    host.prepend(notice);
  }
}

if (typeof document !== "undefined") boot();
