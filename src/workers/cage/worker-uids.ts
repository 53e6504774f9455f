// One uid for each running worker, so that not even two workers of one model can touch each other.

/** 65000 to 65533 belong to nobody by Debian's policy, and fit into a container's usual 65536 uids. */
const FIRST_UID = 65_000;
const COUNT = 500;

export class WorkerUids {
  readonly #free: number[];

  constructor(first: number = FIRST_UID) {
    this.#free = Array.from({ length: COUNT }, (_, index) => first + index);
  }

  /** The one that has been free for longest. Past five hundred workers they are shared. */
  take(): number {
    const uid = this.#free.shift() ?? FIRST_UID;
    return uid;
  }

  give(uid: number): void {
    if (!this.#free.includes(uid)) this.#free.push(uid);
  }
}
