/** A list that comes page by page, each behind the one before. A page may be empty and yet not the last. */

export interface CursorPage<T> {
  data: T[];
  nextCursor?: string | null;
}

/** An item, with a key that is its own within the list. */
export interface Keyed<T> {
  key: string;
  item: T;
}

export class CursorList<T> {
  items = $state.raw<Keyed<T>[]>([]);
  failure = $state("");
  isLoading = $state(false);
  /** Whether there is more. */
  hasMore = $state(false);
  #next: string | undefined;
  /** What was asked for before counts no more. */
  #turn = 0;

  constructor(
    readonly ask: (cursor: string | undefined) => Promise<CursorPage<T>>,
    /** What tells items apart; the same where it is the same after a reload. */
    readonly keyOf: (item: T) => string,
    /** How many are loaded at once, if there are so many. */
    readonly atOnce: number,
  ) {}

  /** From the beginning; what is there stays until the new is. */
  async reload() {
    this.#turn++;
    this.isLoading = false;
    await this.#load(undefined, []);
  }

  /** The next ones, unless they are on their way. */
  async more() {
    if (!this.isLoading && this.#next !== undefined) await this.#load(this.#next, this.items);
  }

  /** Nothing that is on its way counts any more. */
  stop() {
    this.#turn++;
  }

  async #load(cursor: string | undefined, before: Keyed<T>[]) {
    const turn = this.#turn;
    this.isLoading = true;
    try {
      const keys = new Set(before.map(({ key }) => key));
      const items = [...before];
      do {
        const page = await this.ask(cursor);
        if (turn !== this.#turn) return;
        for (const item of page.data) {
          const key = this.keyOf(item);
          if (!keys.has(key)) items.push({ key, item });
          keys.add(key);
        }
        cursor = page.nextCursor ?? undefined;
        // What is found early is shown while the rest is looked for.
        if (items.length > before.length) this.items = [...items];
      } while (cursor !== undefined && items.length - before.length < this.atOnce);
      this.items = items;
      this.#next = cursor;
      this.hasMore = cursor !== undefined;
      this.failure = "";
    } catch (error) {
      if (turn === this.#turn) this.failure = error instanceof Error ? error.message : String(error);
    } finally {
      if (turn === this.#turn) this.isLoading = false;
    }
  }
}
