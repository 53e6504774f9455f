// Counts the connections of each address, so that one source cannot take all of them.
import type { Socket } from 'node:net';

export class SourceCap {
  readonly #max: number;
  readonly #counts = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** False: this source has enough connections already. Leaves by itself when the socket closes. */
  enter(socket: Socket): boolean {
    const source = socket.remoteAddress;
    // Unix sockets have no address; who may connect is the file system's business.
    if (this.#max === Infinity || source === undefined) return true;
    const count = this.#counts.get(source) ?? 0;
    if (count >= this.#max) return false;
    this.#counts.set(source, count + 1);
    socket.once('close', () => {
      const left = (this.#counts.get(source) ?? 1) - 1;
      if (left === 0) this.#counts.delete(source);
      else this.#counts.set(source, left);
    });
    return true;
  }
}
