// One-way announcements inside one server: the data path publishes, observers subscribe, nobody waits for anybody.
// The idea of node:diagnostics_channel, but owned by an object instead of by the process, so that two servers
// in one process (tests, shards) never hear each other.

export class Channel<T> {
  readonly #listeners: ((message: T) => void)[] = [];
  readonly #onFailure: (thrown: unknown) => void;

  /** `onFailure` hears what a listener threw, and must not throw itself. */
  constructor(onFailure: (thrown: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** False lets a hot path skip building the message. */
  get hasSubscribers(): boolean {
    return this.#listeners.length > 0;
  }

  /** Calls every listener now. A listener must not block; one that throws costs neither the publisher nor its neighbours anything. */
  publish(message: T): void {
    for (const listener of this.#listeners) {
      try {
        listener(message);
      } catch (thrown) {
        this.#onFailure(thrown);
      }
    }
  }

  subscribe(listener: (message: T) => void): { unsubscribe(): void } {
    this.#listeners.push(listener);
    return {
      unsubscribe: () => {
        const at = this.#listeners.indexOf(listener);
        if (at >= 0) this.#listeners.splice(at, 1);
      },
    };
  }
}
