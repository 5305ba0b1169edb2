/** How fast counts grow: what came between two looks, a second. */
export class Rates {
  #before: { at: number; counts: Map<string, number> } | undefined;
  #rates = new Map<string, number>();

  /** The rates as of this look, made at so many milliseconds. What was not counted before has none. */
  look(at: number, counts: Map<string, number>): Map<string, number> {
    const before = this.#before;
    if (before && at > before.at) {
      const seconds = Math.max(0.001, (at - before.at) / 1000);
      this.#rates = new Map([...counts].map(([id, now]) => [id, Math.max(0, now - (before.counts.get(id) ?? now)) / seconds]));
    }
    this.#before = { at, counts };
    return this.#rates;
  }
}
