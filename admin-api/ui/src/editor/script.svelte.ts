/** A script that is being edited: what is saved, what is typed, and what of it is kept as a draft in this browser. */
import { Failure } from "../api/client";
import { change, type Definition, type Subject } from "../api/definitions";
import { catalogChanged } from "../api/queries";
import { keep, kept } from "../lib/preferences.svelte";

interface Draft {
  text: string;
  /** The revision that it was begun on. */
  revision?: number | null;
  /** What was saved then. */
  saved: string;
}

/** Somebody has saved since. */
export interface Conflict {
  revision?: number;
  author?: string;
  createdAt?: string;
}

export class Script {
  readonly subject: Subject;
  readonly #key: string;
  /** What is live. */
  saved = $state("");
  text = $state("");
  /** The newest revision that was seen here. */
  revision = $state<number | null | undefined>();
  /** What another has saved, while there is something typed here. */
  theirs = $state<string | undefined>();
  hasDraft = $state(false);
  isDirty = $derived(this.text !== this.saved);

  constructor(subject: Subject, definition: Definition) {
    this.subject = subject;
    this.#key = `draft.${subject.kind}.${subject.id}.${subject.script}`;
    this.saved = this.text = scriptOf(definition, subject.script);
    this.revision = definition.revision;
    const draft = kept<Draft>(this.#key);
    if (!draft || draft.text === this.saved) return;
    this.hasDraft = true;
    this.text = draft.text;
    if (draft.saved !== this.saved) {
      this.theirs = this.saved;
      this.saved = draft.saved;
      this.revision = draft.revision;
    }
  }

  type(text: string) {
    this.text = text;
    const draft: Draft = { text, saved: this.saved, revision: this.revision };
    keep(this.#key, this.isDirty ? draft : undefined);
    if (!this.isDirty) this.hasDraft = false;
  }

  /** The definition as it is now: news where nothing is typed, else something to decide about. */
  arrived(definition: Definition) {
    const now = scriptOf(definition, this.subject.script);
    if (now === this.saved) {
      this.revision = definition.revision;
      this.theirs = undefined;
    } else if (this.isDirty) {
      this.theirs = now;
    } else {
      this.#take(now, definition.revision);
    }
  }

  #take(text: string, revision: number | null | undefined) {
    this.saved = this.text = text;
    this.revision = revision;
    this.theirs = undefined;
    this.hasDraft = false;
    keep(this.#key, undefined);
  }

  discard() {
    this.#take(this.theirs ?? this.saved, undefined);
    return catalogChanged();
  }

  /** Saves what is typed. Gives back who was faster, where somebody was and this is not to overwrite it. */
  async save(message: string, overwrite = false): Promise<Conflict | undefined> {
    const text = this.text;
    if (this.theirs !== undefined && !overwrite) return {};
    const expectedRevision = overwrite ? undefined : (this.revision ?? undefined);
    try {
      const { kind, id, script } = this.subject;
      const now = await change(kind, id, { [script]: text, message: message || undefined, expectedRevision });
      const typedSince = this.text;
      this.#take(text, now.revision);
      if (typedSince !== text) this.type(typedSince);
    } catch (error) {
      if (!(error instanceof Failure && error.code === "CONFLICT")) throw error;
      await catalogChanged();
      return (error.details ?? {}) as Conflict;
    }
    await catalogChanged();
  }
}

function scriptOf(definition: Definition, script: string): string {
  return ((definition as unknown as Record<string, unknown>)[script] as string | null | undefined) ?? "";
}
