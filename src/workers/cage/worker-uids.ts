// One uid for each running worker, so that not even two workers of one model can touch each other.

import { Fault } from '../../kernel/index.ts';

/** 65000 to 65533 belong to nobody by Debian's policy, and fit into a container's usual 65536 uids. */
const FIRST_UID = 65_000;
const COUNT = 500;

export class WorkerUids {
  readonly #first: number;
  readonly #free: number[];

  constructor(first: number = FIRST_UID) {
    this.#first = first;
    this.#free = Array.from({ length: COUNT }, (_, index) => first + index);
  }

  /** Whether `uid` is one of those that workers of this server may have. */
  includes(uid: number): boolean {
    return uid >= this.#first && uid < this.#first + COUNT;
  }

  /** The one that has been free for longest. Throws `worker_start_failed` rather than let two workers share one. */
  take(): number {
    const uid = this.#free.shift();
    if (uid === undefined)
      throw new Fault('worker_start_failed', `More than ${COUNT} workers cannot run at once as root.`);
    return uid;
  }

  give(uid: number): void {
    this.#free.push(uid);
  }
}
