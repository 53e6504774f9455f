// How far a connection may run ahead of its answers (pipelining, RFC 9112 9.3.2). Needs no key, so it must be cheap to bear:
// one packet of 64 KB holds over two thousand requests, and each of them costs memory until it is answered.
import type { Socket } from 'node:net';
import type { Exchange } from './exchange.ts';

/** Requests waiting on one connection. What pipelines at all sends a dozen. */
export const MAX_AHEAD = 128;
/** Requests behind those, which are not run: a client that was too quick reads its answers, a flood is cut. */
export const MAX_DROPPED = 1024;
/** What all connections of a door may have waiting behind their first requests: some 100 MB. */
export const MAX_AHEAD_TOGETHER = 16_384;

/** Requests of all connections that wait behind an earlier one of theirs. */
export class AheadCount {
  #value = 0;

  /** False: there are too many, and this one is not counted. */
  add(): boolean {
    if (this.#value === MAX_AHEAD_TOGETHER) return false;
    this.#value += 1;
    return true;
  }

  remove(count: number): void {
    this.#value -= count;
  }
}

/** The requests of one connection that are not answered yet, or whose answer is still on its way out. */
export class Pipeline {
  /** The newest that was accepted: broken framing is answered in its name. */
  latest: Exchange | undefined;
  #waiting = 0;
  #dropped = 0;
  readonly #socket: Socket;
  readonly #together: AheadCount;

  constructor(socket: Socket, together: AheadCount) {
    this.#socket = socket;
    this.#together = together;
  }

  get isIdle(): boolean {
    return this.#waiting === 0;
  }

  /**
   * What becomes of the next request: the `last` one is answered and ends the connection, a `dropped` one is not run.
   * A client that pipelines sends again what a closed connection left unanswered.
   */
  enter(): 'accepted' | 'last' | 'dropped' {
    if (this.#waiting > MAX_AHEAD || this.latest?.isLastOnConnection) return this.#drop();
    // Others run far ahead as well; the clients that ask and wait are not to pay for it.
    if (this.#waiting > 0 && !this.#together.add()) return this.#cut();
    this.#waiting += 1;
    return this.#waiting > MAX_AHEAD ? 'last' : 'accepted';
  }

  /** An accepted request is over: answered, or its connection is gone. */
  leave(): void {
    this.#waiting -= 1;
    if (this.#waiting > 0) this.#together.remove(1);
  }

  /** It costs memory all the same, for as long as the connection lives. */
  #drop(): 'dropped' {
    if (this.#dropped === MAX_DROPPED || !this.#together.add()) return this.#cut();
    if (this.#dropped === 0) this.#socket.once('close', () => this.#together.remove(this.#dropped));
    this.#dropped += 1;
    return 'dropped';
  }

  #cut(): 'dropped' {
    this.#socket.destroy();
    return 'dropped';
  }
}
