// Pictures of the open room: fetched once each, shown by an address of this page, let go together.

export class Pictures {
  private readonly kept = new Map<string, Promise<string>>();

  constructor(private readonly fetched: (name: string) => Promise<Blob>) {}

  /** An address of the picture within this page. */
  address(name: string): Promise<string> {
    const known = this.kept.get(name);
    if (known) return known;
    const found = this.fetched(name).then((blob) => URL.createObjectURL(blob));
    this.kept.set(name, found);
    found.catch(() => this.kept.delete(name));
    return found;
  }

  /** Let all of them go. */
  clear(): void {
    for (const one of this.kept.values()) one.then((address) => URL.revokeObjectURL(address), () => undefined);
    this.kept.clear();
  }
}
