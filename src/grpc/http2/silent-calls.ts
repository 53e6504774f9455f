// Calls that are open and have not sent a whole message yet. A health check needs no key, so anybody may open calls; what a
// silent one holds (some 8 KB) it holds for as long as its client likes.

/** Far more than arrive at once: a client that means it sends its message with the call. */
const MAX_SILENT = 4096;

/** Removed from here as soon as a message has arrived, or the call is over. */
export class SilentCalls {
  readonly #calls = new Set<{ evict(): void }>();

  /** The one that has been silent for longest makes room. */
  add(call: { evict(): void }): void {
    this.#calls.add(call);
    if (this.#calls.size <= MAX_SILENT) return;
    for (const oldest of this.#calls) {
      this.#calls.delete(oldest);
      oldest.evict();
      break;
    }
  }

  delete(call: { evict(): void }): void {
    this.#calls.delete(call);
  }
}
