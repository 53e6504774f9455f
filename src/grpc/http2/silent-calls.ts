// Calls that are open and have not sent a whole message yet. A health check needs no key, so anybody may open calls; what a
// silent one holds (some 8 KB) it holds for as long as its client likes.

/**
 * Far more than are on their way at once, even where a proxy has 60 connections full of uploads: a client that means it sends
 * its message with the call. 130 MB.
 */
export const MAX_SILENT = 16_384;

/** Removed from here as soon as a message has arrived, or the call is over. */
export class SilentCalls {
  /** The one that was heard of last comes last. */
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

  /** Part of a message has arrived: a slow upload is not what makes room for a flood. */
  heard(call: { evict(): void }): void {
    if (this.#calls.delete(call)) this.#calls.add(call);
  }

  delete(call: { evict(): void }): void {
    this.#calls.delete(call);
  }
}
