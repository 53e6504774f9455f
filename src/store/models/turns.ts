// Who may unpack when: a few models at once, and never the same one twice.

/** Runs work for one key after the other, and at most `width` keys at a time, in the order of asking. */
export class Turns<Key> {
  readonly #width: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #tails = new Map<Key, Promise<void>>();

  constructor(width: number) {
    this.#width = width;
  }

  async run<T>(key: Key, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const { promise: done, resolve: finish } = Promise.withResolvers<void>();
    const tail = Promise.resolve(before).then(() => done);
    this.#tails.set(key, tail);
    await before;
    await this.#enter();
    try {
      return await work();
    } finally {
      this.#leave();
      finish();
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < this.#width) {
      this.#running += 1;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    await promise;
  }

  /** Hands the place on without freeing it in between. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}
