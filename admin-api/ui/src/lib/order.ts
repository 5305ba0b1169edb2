/** The order in which hooks run: by priority, and of the same priority the older first. */
export interface Ordered {
  id: string;
  priority: number;
}

export interface Move {
  id: string;
  priority: number;
  before: number;
}

function runsBefore(one: Ordered, other: Ordered): boolean {
  return one.priority < other.priority || (one.priority === other.priority && one.id < other.id);
}

export function inOrder<T extends Ordered>(hooks: T[]): T[] {
  return [...hooks].sort((one, other) => (runsBefore(one, other) ? -1 : 1));
}

/** The fewest priorities to change so that a hook runs one place earlier (-1) or later (1); none where it cannot. */
export function moved(hooks: Ordered[], id: string, by: -1 | 1): Move[] {
  const order = inOrder(hooks);
  const from = order.findIndex((one) => one.id === id);
  if (from < 0 || !order[from + by]) return [];
  order.splice(from + by, 0, ...order.splice(from, 1));
  const moves: Move[] = [];
  let last: Ordered | undefined;
  for (const { id, priority: before } of order) {
    let now = { id, priority: before };
    if (last && !runsBefore(last, now)) {
      const least = last.priority;
      now = { id, priority: last.id < id ? least : least + 1 };
      moves.push({ ...now, before });
    }
    last = now;
  }
  return moves;
}
