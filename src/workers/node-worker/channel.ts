// The worker's end of the socket: frames in, results out.
import { Socket } from 'node:net';
import { type Frame, FrameReader, frameHead } from './frames.ts';
import { type ItemResult, resultBytes, resultHeader } from './protocol.ts';

/** Up to here copying is cheaper than handing the kernel a list. */
const JOINED_BYTES = 32 * 1024;

export class WorkerChannel {
  readonly #socket: Socket;

  /** `onEnd` is called when the server is gone. */
  constructor(descriptor: number, onFrame: (frame: Frame) => void, onEnd: () => void) {
    const reader = new FrameReader(onFrame);
    this.#socket = new Socket({
      fd: descriptor,
      readable: true,
      writable: true,
      onread: {
        buffer: () => reader.nextBuffer(),
        callback: (bytes) => {
          reader.received(bytes);
          return true;
        },
      },
    });
    this.#socket.on('error', onEnd);
    this.#socket.on('close', onEnd);
    this.#socket.on('end', onEnd);
  }

  send(header: object): void {
    this.#socket.write(frameHead(header, 0));
  }

  sendDone(batchId: unknown, results: readonly ItemResult[]): void {
    const header = { t: 'done', b: batchId, r: results.map(resultHeader) };
    this.#write(header, results);
  }

  sendPiece(batchId: unknown, index: number, piece: ItemResult): void {
    this.#write({ t: 'item', b: batchId, i: index, ...resultHeader(piece), more: true }, [piece]);
  }

  /** Resolves when everything written has been handed to the kernel. */
  close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#socket.end(() => resolve());
    return promise;
  }

  #write(header: object, results: readonly ItemResult[]): void {
    const bodyBytes = results.reduce((sum, result) => sum + resultBytes(result), 0);
    const pieces = [frameHead(header, bodyBytes)];
    for (const result of results) {
      if (!result.error) for (const piece of result.body) pieces.push(piece as Buffer);
    }
    if (bodyBytes <= JOINED_BYTES) {
      this.#socket.write(Buffer.concat(pieces));
      return;
    }
    this.#socket.cork();
    for (const piece of pieces) this.#socket.write(piece);
    this.#socket.uncork();
  }
}
