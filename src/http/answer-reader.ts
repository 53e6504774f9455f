// The client as the reader of one answer: what it leaves lying here is bounded, and has to be taken some day.
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock, Reader, Timer, UnreadAnswers } from '../kernel/index.ts';
import type { HttpOptions } from './options.ts';

/** What a reader needs of its door. */
export interface ReaderHost {
  readonly options: Pick<HttpOptions, 'maxStreamBufferBytes' | 'writeTimeoutMs'>;
  readonly clock: Clock;
  /** Answers that their readers have not taken yet. */
  readonly answers: UnreadAnswers;
}

/** As slow as an upload may be (see DEFAULT_LISTENER_LIMITS): about 20 KB/s. */
const MIN_READ_BYTES_PER_MS = 20;

/** Made when a client falls behind, which most never do. */
export class AnswerReader implements Reader {
  readonly #host: ReaderHost;
  readonly #socket: Socket;
  readonly #response: ServerResponse;
  #isBlocked = false;
  #isStallLimited = false;
  #limit: Timer | undefined;

  constructor(host: ReaderHost, socket: Socket, response: ServerResponse) {
    this.#host = host;
    this.#socket = socket;
    this.#response = response;
  }

  get unreadBytes(): number {
    return this.#response.writableLength;
  }

  cut(): void {
    this.#socket.destroy();
  }

  /** A piece of a streamed answer has been written. */
  onPiece(): void {
    const { answers, options } = this.#host;
    // A reader this slow would hold the whole answer in our memory.
    if (this.unreadBytes > options.maxStreamBufferBytes) return this.cut();
    answers.count(this);
    if (this.#isBlocked || this.#isWaitingItsTurn || !this.#response.writableNeedDrain) return;
    this.#isBlocked = true;
    this.#limitStall();
    this.#response.once('drain', () => {
      this.#isBlocked = false;
      this.#socket.setTimeout(0);
    });
  }

  /** The rest of the answer has been written. */
  onWritten(): void {
    this.#host.answers.count(this);
    if (this.#isWaitingItsTurn) this.#response.once('socket', () => this.#limitTime());
    else this.#limitTime();
  }

  /** Behind the answer to an earlier request on this connection: nothing can be read, however long that one takes. */
  get #isWaitingItsTurn(): boolean {
    return this.#response.socket === null;
  }

  #limitTime(): void {
    const { clock, options } = this.#host;
    if (this.#socket.destroyed) return;
    this.#limitStall();
    // One byte now and then is progress, too.
    const limitMs = options.writeTimeoutMs + this.unreadBytes / MIN_READ_BYTES_PER_MS;
    this.#limit = clock.after(limitMs, () => this.cut());
  }

  /** Node drops the connection when a blocked write makes no progress for this long. */
  #limitStall(): void {
    this.#socket.setTimeout(this.#host.options.writeTimeoutMs);
    // Before Node's own listener, which sets the time that an idle connection has.
    if (!this.#isStallLimited) this.#response.prependOnceListener('finish', () => this.#socket.setTimeout(0));
    this.#isStallLimited = true;
  }

  /** The answer is over, read or not. */
  close(): void {
    this.#limit?.cancel();
    this.#host.answers.release(this);
  }
}
