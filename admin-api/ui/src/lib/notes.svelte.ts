/** Short notes in a corner, read out by screen readers, with a way to undo what they tell. */

export interface Note {
  id: number;
  text: string;
  kind: "good" | "bad" | "";
  action?: { label: string; run: () => void };
}

const LIFE_MS = 8000;
const NOTES_MAX = 4;
let next = 0;

export const notes = $state<Note[]>([]);

export function tell(text: string, kind: Note["kind"] = "good", action?: Note["action"]) {
  const id = next++;
  notes.push({ id, text, kind, action });
  if (notes.length > NOTES_MAX) notes.shift();
  // What went wrong stays until it is read.
  if (kind !== "bad") setTimeout(() => dismiss(id), LIFE_MS);
}

export function tellFailure(error: unknown) {
  tell(error instanceof Error ? error.message : String(error), "bad");
}

export function dismiss(id: number) {
  const at = notes.findIndex((note) => note.id === id);
  if (at >= 0) notes.splice(at, 1);
}
