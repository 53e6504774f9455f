// Which GPU a new worker gets (surface spec 10.10): round-robin over all, or over the ids its model names.

export class GpuAllocator {
  readonly #count: number;
  #next = 0;

  constructor(count: number) {
    this.#count = count;
  }

  /** A device id, or null for the CPU. */
  next(deviceType: 'cpu' | 'gpu' | undefined, deviceIds: readonly number[] | undefined): number | null {
    if (deviceType === 'cpu' || this.#count === 0) return null;
    const valid = deviceIds?.every((id) => id < this.#count) ? deviceIds : undefined;
    const turn = this.#next;
    this.#next += 1;
    return valid === undefined || valid.length === 0 ? turn % this.#count : valid[turn % valid.length]!;
  }
}
