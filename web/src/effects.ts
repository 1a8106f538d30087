// Effects that end with what they were begun in: a picture, or the part of it that is drawn anew.
import { effect } from "@preact/signals-core";

type End = () => void;

/** Where effects that begin now are noted, so that they can be ended. */
let owner: End[] | null = null;

function owned<T>(ends: End[], make: () => T): T {
  const outer = owner;
  owner = ends;
  try {
    return make();
  } finally {
    owner = outer;
  }
}

function endAll(ends: End[]): void {
  for (const end of ends.splice(0)) end();
}

/** Run now, and again whenever a signal that was read has changed; effects begun within end before it runs again. */
export function follow(run: () => void): void {
  const inner: End[] = [];
  const stop = effect(() => {
    endAll(inner);
    owned(inner, run);
  });
  owner?.push(() => {
    stop();
    endAll(inner);
  });
}

/** Have something done when the effect or scope that runs now ends. */
export function whenEnded(end: End): void {
  owner?.push(end);
}

/** Make something whose effects all end when the returned function is called. */
export function scope<T>(make: () => T): { result: T; end: End } {
  const ends: End[] = [];
  return { result: owned(ends, make), end: () => endAll(ends) };
}
