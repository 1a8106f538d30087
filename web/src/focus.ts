// Keeps the keyboard where it was while what it stood on is drawn anew, hidden or switched off.

/** Change something below `root`; focus stays on the same thing, or goes to the panel that is open. */
export function keepingFocus(root: HTMLElement, change: () => void): void {
  const held = focused(root);
  const seems = held && { tag: held.tagName, name: nameOf(held), panel: panelOf(held)?.id };
  change();
  if (!held || !seems) return;
  if (!stands(held)) next(root, seems)?.focus({ preventScroll: true });
  else if (focused(root) !== held) held.focus({ preventScroll: true });
}

function focused(root: HTMLElement): HTMLElement | null {
  const within = root.getRootNode();
  const found = within instanceof Document || within instanceof ShadowRoot ? within.activeElement : null;
  return found instanceof HTMLElement && root.contains(found) ? found : null;
}

function next(root: HTMLElement, seems: { tag: string; name: string; panel: string | undefined }): HTMLElement | null {
  const alike = [...root.querySelectorAll<HTMLElement>(seems.tag)].filter((one) => stands(one) && nameOf(one) === seems.name);
  const open = [...root.querySelectorAll<HTMLElement>("[role=tabpanel]")].find(stands);
  return alike.find((one) => panelOf(one)?.id === seems.panel) ?? alike[0] ?? open ?? panelOf(root);
}

function nameOf(element: HTMLElement): string {
  return element.id || (element.getAttribute("aria-label") ?? element.textContent ?? "");
}

function panelOf(element: HTMLElement): HTMLElement | null {
  return element.closest<HTMLElement>("[role=tabpanel]");
}

/** Whether it is there, seen and can have the keyboard. */
function stands(element: HTMLElement): boolean {
  return element.isConnected && element.getClientRects().length > 0 && !element.matches(":disabled");
}
