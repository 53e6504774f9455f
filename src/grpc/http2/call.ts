// One gRPC call on one HTTP/2 stream: messages in, messages out, exactly one status.
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Clock, Timer } from '../../kernel/index.ts';
import { CODE, type CallHandler, type GrpcStatus, type ServerCall } from '../transport.ts';
import type { ByteBudget } from './byte-budget.ts';
import { MessageReader, type ReadProblem } from './message-reader.ts';
import { encodeMessage } from './wire.ts';

/** What the request's headers say. */
export interface CallHead {
  readonly path: string;
  readonly remote: string;
  readonly source: string;
  readonly authorization: string | undefined;
  readonly timeoutMs: number | undefined;
}

export interface CallLimits {
  readonly maxMessageBytes: number;
  /** Bytes of answers that may wait for a slow reader before the call is cut. */
  readonly maxQueuedBytes: number;
  /** Milliseconds without progress of a blocked write, or within a message that is being received. */
  readonly stallTimeoutMs: number;
}

/** What all calls of a listener share. */
export interface CallHost {
  readonly limits: CallLimits;
  readonly budget: ByteBudget;
  readonly clock: Clock;
}

const CONTENT_TYPE = 'application/grpc';
/** Tells a client that compressed its message what to send instead. */
const REFUSAL = { 'grpc-accept-encoding': 'identity' };
/** How long, and for how much, a call that has its answer may go on sending before it is reset. */
const LINGER_MS = 1000;
const LINGER_BYTES = 4 * 1024 * 1024;
/** Smaller messages go out as one piece: one copy is cheaper than one more frame. */
const COPY_BELOW_BYTES = 8192;

export class Http2Call implements ServerCall {
  readonly path: string;
  readonly remote: string;
  readonly source: string;
  readonly authorization: string | undefined;
  readonly timeoutMs: number | undefined;
  readonly #stream: ServerHttp2Stream;
  readonly #limits: CallLimits;
  readonly #budget: ByteBudget;
  readonly #clock: Clock;
  readonly #reader: MessageReader;
  readonly #onEnd: (call: Http2Call, status: GrpcStatus) => void;
  #handler: CallHandler | undefined;
  #deadline: Timer | undefined;
  #isEnded = false;
  #isHalfClosed = false;
  #isWatched = false;
  #heldBytes = 0;
  #discardedBytes = 0;
  #lingering: Timer | undefined;

  constructor(
    stream: ServerHttp2Stream,
    head: CallHead,
    { limits, budget, clock }: CallHost,
    onEnd: (call: Http2Call, status: GrpcStatus) => void,
  ) {
    this.path = head.path;
    this.remote = head.remote;
    this.source = head.source;
    this.authorization = head.authorization;
    this.timeoutMs = head.timeoutMs;
    this.#stream = stream;
    this.#limits = limits;
    this.#budget = budget;
    this.#clock = clock;
    this.#reader = new MessageReader(limits.maxMessageBytes);
    this.#onEnd = onEnd;
    stream.on('close', () => this.#onClose());
  }

  /** Starts reading. `handler` undefined: the call has been refused, and what the client still sends is thrown away. */
  start(handler: CallHandler | undefined): void {
    this.#handler = handler;
    if (this.timeoutMs !== undefined && !this.#isEnded) {
      this.#deadline = this.#clock.after(this.timeoutMs, () =>
        this.#cancel(CODE.deadlineExceeded, 'Deadline exceeded'),
      );
    }
    this.#stream.on('data', (chunk: Uint8Array) => this.#onData(chunk));
    this.#stream.on('end', () => this.#onHalfClose());
  }

  send(pieces: readonly Uint8Array[], bytes: number): void {
    if (this.#isEnded) return;
    const stream = this.#stream;
    if (!stream.headersSent)
      stream.respond({ ':status': 200, 'content-type': CONTENT_TYPE }, { waitForTrailers: true });
    const prefix = Buffer.allocUnsafe(5);
    prefix[0] = 0;
    prefix.writeUInt32BE(bytes, 1);
    if (bytes < COPY_BELOW_BYTES) {
      stream.write(Buffer.concat([prefix, ...pieces], prefix.length + bytes));
    } else {
      stream.cork();
      stream.write(prefix);
      for (const piece of pieces) stream.write(piece);
      // Uncorked in the same turn: an end that follows at once travels in the same write.
      process.nextTick(() => stream.uncork());
    }
    if (stream.writableLength > this.#limits.maxQueuedBytes + bytes) {
      this.#cancel(CODE.resourceExhausted, 'The client reads its answers too slowly');
    }
  }

  end(status: GrpcStatus): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#deadline?.cancel();
    this.#release();
    this.#onEnd(this, status);
    const stream = this.#stream;
    if (stream.destroyed) return;
    const trailers = { 'grpc-status': String(status.code), 'grpc-message': encodeMessage(status.message) };
    if (stream.headersSent) {
      stream.once('wantTrailers', () => stream.sendTrailers(trailers));
      stream.end();
      if (stream.writableLength > 0) this.#watchStall();
    } else {
      stream.respond({ ':status': 200, 'content-type': CONTENT_TYPE, ...REFUSAL, ...trailers }, { endStream: true });
    }
    if (!this.#isHalfClosed) this.#lingering = this.#clock.after(LINGER_MS, () => this.#stopSender());
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  #onData(chunk: Uint8Array): void {
    if (this.#isEnded || this.#handler === undefined) return this.#discard(chunk.length);
    if (!this.#budget.take(chunk.length)) {
      return this.#refuse({
        code: CODE.resourceExhausted,
        message: 'The server is receiving more than it has room for',
      });
    }
    this.#heldBytes += chunk.length;
    const problem = this.#reader.read(chunk, (message) => {
      if (!this.#isEnded) this.#handler?.onMessage(message);
    });
    if (problem !== undefined) this.#refuse(this.#statusOf(problem));
    // Whole messages are the data path's to count from here on.
    if (!this.#reader.isInsideMessage) this.#release();
    else this.#watchStall();
  }

  #statusOf(problem: ReadProblem): GrpcStatus {
    if (problem.kind === 'compressed') {
      return { code: CODE.unimplemented, message: 'Compressed messages are not accepted' };
    }
    const { maxMessageBytes } = this.#limits;
    return {
      code: CODE.resourceExhausted,
      message: `gRPC message exceeds maximum size ${maxMessageBytes}: ${problem.bytes}`,
    };
  }

  #onHalfClose(): void {
    this.#isHalfClosed = true;
    this.#lingering?.cancel();
    if (this.#isEnded) return;
    if (this.#reader.isInsideMessage) this.#refuse({ code: CODE.internal, message: 'The call ended inside a message' });
    else this.#handler?.onHalfClose();
  }

  /** Ends with a status and lets the method know that nobody listens any more. */
  #refuse(status: GrpcStatus): void {
    this.end(status);
    this.#handler?.onCancel();
  }

  #cancel(code: number, message: string): void {
    if (this.#isEnded) return;
    this.#refuse({ code, message });
    if (this.#stream.writableLength > this.#limits.maxQueuedBytes) this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #onClose(): void {
    this.#lingering?.cancel();
    this.#release();
    if (this.#isEnded) return;
    this.#refuse({ code: CODE.cancelled, message: 'call already cancelled' });
  }

  /** What a client sends after its answer. A reset that overtakes the answer would hide it, so some of it is read. */
  #discard(bytes: number): void {
    this.#discardedBytes += bytes;
    if (this.#discardedBytes > LINGER_BYTES) this.#stopSender();
  }

  #stopSender(): void {
    if (!this.#isHalfClosed) this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** From the first blocked write or half-received message on; Node starts the time again at every byte. */
  #watchStall(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    this.#stream.setTimeout(this.#limits.stallTimeoutMs, () => {
      if (this.#stream.writableLength > 0 || this.#reader.isInsideMessage) this.#stream.close(constants.NGHTTP2_CANCEL);
    });
  }

  #release(): void {
    this.#budget.give(this.#heldBytes);
    this.#heldBytes = 0;
  }
}
