// Long work on the numbers of a tensor, in turns: other requests are served in between.
import { setImmediate } from 'node:timers/promises';

/** Some milliseconds of reading, converting and writing. */
const STEPS_IN_ONE_TURN = 8192;

/** Counts steps over all tensors of a message: a thousand small ones are as much work as a large one. */
export class Turns {
  #steps = 0;

  /** Behind every step: true when it was the last one of this turn. */
  step(): boolean {
    this.#steps += 1;
    return this.#steps % STEPS_IN_ONE_TURN === 0;
  }

  /** Lets others have theirs. */
  next(): Promise<void> {
    return setImmediate();
  }
}
