// One gRPC call on one HTTP/2 stream: messages in, messages out, exactly one status.
import { constants, type ServerHttp2Stream } from 'node:http2';
import type { ByteBudget, Clock, Reader, Timer, UnreadAnswers } from '../../kernel/index.ts';
import { CODE, type CallHandler, type GrpcStatus, type ServerCall } from '../transport.ts';
import { MessageReader, type ReadProblem } from './message-reader.ts';
import type { SilentCalls } from './silent-calls.ts';
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
  /** Milliseconds from the first byte of a message to its last. */
  readonly messageTimeoutMs: number;
}

/** What all calls of a listener share. */
export interface CallHost {
  readonly limits: CallLimits;
  /** Messages on their way in. */
  readonly budget: ByteBudget;
  /** Answers that their readers have not taken. */
  readonly answers: UnreadAnswers;
  readonly silent: SilentCalls;
  readonly clock: Clock;
}

const CONTENT_TYPE = 'application/grpc';
/** Tells a client that compressed its message what to send instead. */
const REFUSAL = { 'grpc-accept-encoding': 'identity' };
/** How long, and for how much, a call that has its answer may go on sending before it is reset. */
const LINGER_MS = 1000;
const LINGER_BYTES = 4 * 1024 * 1024;
/** Bytes that a frame counts for at least: what it costs does not depend on how little is in it. */
const FRAME_BYTES = 256;
/** A reset takes a few bytes; a connection that does not take them in this time takes nothing. */
const BLOCKED_MS = 1000;
/** Smaller messages go out as one piece: one copy is cheaper than one more frame. */
const COPY_BELOW_BYTES = 8192;

export class Http2Call implements ServerCall, Reader {
  readonly path: string;
  readonly remote: string;
  readonly source: string;
  readonly authorization: string | undefined;
  readonly timeoutMs: number | undefined;
  readonly #stream: ServerHttp2Stream;
  readonly #host: CallHost;
  readonly #reader: MessageReader;
  readonly #onEnd: (call: Http2Call, status: GrpcStatus) => void;
  #handler: CallHandler | undefined;
  #deadline: Timer | undefined;
  #isEnded = false;
  #hasMessage = false;
  #isHalfClosed = false;
  #isPaused = false;
  #stall: Timer | undefined;
  #receivedBytes = 0;
  #heldBytes = 0;
  #messageLimit: Timer | undefined;
  #discardedBytes = 0;
  #lingering: Timer | undefined;

  constructor(
    stream: ServerHttp2Stream,
    head: CallHead,
    host: CallHost,
    onEnd: (call: Http2Call, status: GrpcStatus) => void,
  ) {
    this.path = head.path;
    this.remote = head.remote;
    this.source = head.source;
    this.authorization = head.authorization;
    this.timeoutMs = head.timeoutMs;
    this.#stream = stream;
    this.#host = host;
    this.#reader = new MessageReader(host.limits.maxMessageBytes);
    this.#onEnd = onEnd;
    stream.on('close', () => this.#onClose());
  }

  /** Starts reading. `handler` undefined: the call has been refused, and what the client still sends is thrown away. */
  start(handler: CallHandler | undefined): void {
    this.#handler = handler;
    if (handler !== undefined && !this.#isEnded) this.#host.silent.add(this);
    if (this.timeoutMs !== undefined && !this.#isEnded) {
      this.#deadline = this.#host.clock.after(this.timeoutMs, () =>
        this.#cancel(CODE.deadlineExceeded, 'Deadline exceeded'),
      );
    }
    this.#stream.on('data', (chunk: Uint8Array) => this.#onData(chunk));
    this.#stream.on('end', () => this.#onHalfClose());
  }

  send(pieces: readonly Uint8Array[], bytes: number): void {
    const stream = this.#stream;
    if (this.#isEnded || stream.destroyed || stream.closed) return;
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
    if (stream.writableLength > this.#host.limits.maxQueuedBytes + bytes) this.cut();
    else this.#host.answers.count(this);
  }

  /** True where the server owes nothing: the call has its status, has said nothing yet, or is anybody's probe. */
  get isIdle(): boolean {
    return this.#isEnded || this.#receivedBytes === 0 || this.#handler?.isProbe === true;
  }

  get unreadBytes(): number {
    return this.#stream.destroyed ? 0 : this.#stream.writableLength;
  }

  cut(): void {
    if (!this.#isEnded)
      this.#refuse({ code: CODE.resourceExhausted, message: 'The client reads its answers too slowly' });
    const { session } = this.#stream;
    const written = session?.socket?.bytesWritten;
    // The status would wait behind what nobody reads.
    this.#stream.close(constants.NGHTTP2_CANCEL);
    // Where not even the reset goes out, nothing on this connection is read, and it still holds what was handed to it.
    this.#host.clock.after(BLOCKED_MS, () => {
      if (session?.destroyed === false && session.socket?.bytesWritten === written) session.destroy();
    });
  }

  /** Undone as if the client had left it: it has been silent while too many others came. */
  evict(): void {
    this.#refuse({ code: CODE.resourceExhausted, message: 'The call has sent nothing, and others are waiting' });
  }

  end(status: GrpcStatus): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#deadline?.cancel();
    this.#messageLimit?.cancel();
    this.#host.silent.delete(this);
    this.#release();
    this.#onEnd(this, status);
    const stream = this.#stream;
    // A stream that the client has reset is closed for a while before it is destroyed; writing to it throws.
    if (stream.destroyed || stream.closed) return;
    const trailers = { 'grpc-status': String(status.code), 'grpc-message': encodeMessage(status.message) };
    if (stream.headersSent) {
      stream.once('wantTrailers', () => {
        // Asked for in a later turn, when the stream may have been cut.
        if (!stream.destroyed && !stream.closed) stream.sendTrailers(trailers);
      });
      stream.end();
      if (stream.writableLength > 0) this.#watchStall();
    } else {
      stream.respond({ ':status': 200, 'content-type': CONTENT_TYPE, ...REFUSAL, ...trailers }, { endStream: true });
    }
    if (!this.#isHalfClosed) this.#lingering = this.#host.clock.after(LINGER_MS, () => this.#stopSender());
  }

  pause(): void {
    this.#isPaused = true;
    this.#messageLimit?.cancel();
    this.#messageLimit = undefined;
    this.#stream.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#stream.resume();
    if (this.#isArriving) this.#watchArrival();
  }

  #onData(chunk: Uint8Array): void {
    if (this.#isEnded || this.#handler === undefined) return this.#discard(chunk.length);
    if (!this.#host.budget.take(chunk.length)) {
      return this.#refuse({
        code: CODE.resourceExhausted,
        message: 'The server is receiving more than it has room for',
      });
    }
    this.#heldBytes += chunk.length;
    this.#receivedBytes += chunk.length;
    const problem = this.#reader.read(chunk, (message) => {
      if (this.#isEnded) return;
      this.#hasMessage = true;
      this.#host.silent.delete(this);
      this.#messageLimit?.cancel();
      this.#messageLimit = undefined;
      this.#handler?.onMessage(message);
    });
    if (problem !== undefined) this.#refuse(this.#statusOf(problem));
    // Whole messages are the data path's to count from here on.
    if (!this.#reader.isInsideMessage) this.#release();
    else if (this.#isArriving) this.#watchArrival();
    if (!this.#hasMessage && !this.#isEnded) this.#host.silent.heard(this);
  }

  #statusOf(problem: ReadProblem): GrpcStatus {
    if (problem.kind === 'compressed') {
      return { code: CODE.unimplemented, message: 'Compressed messages are not accepted' };
    }
    if (problem.kind === 'crumbs') {
      return { code: CODE.resourceExhausted, message: 'The message arrives in too many pieces' };
    }
    const { maxMessageBytes } = this.#host.limits;
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
  }

  #onClose(): void {
    this.#lingering?.cancel();
    this.#stall?.cancel();
    this.#release();
    this.#host.answers.release(this);
    if (this.#isEnded) return;
    this.#refuse({ code: CODE.cancelled, message: 'call already cancelled' });
  }

  /** What a client sends after its answer. A reset that overtakes the answer would hide it, so some of it is read. */
  #discard(bytes: number): void {
    this.#discardedBytes += Math.max(bytes, FRAME_BYTES);
    if (this.#discardedBytes > LINGER_BYTES) this.#stopSender();
  }

  #stopSender(): void {
    if (!this.#isHalfClosed) this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** True where the client owes the rest of a message, and has not been asked to wait. */
  get #isArriving(): boolean {
    return this.#reader.isInsideMessage && !this.#isPaused;
  }

  #watchArrival(): void {
    this.#watchStall();
    if (this.#isEnded) return;
    // A byte now and then is progress, too.
    this.#messageLimit ??= this.#host.clock.after(this.#host.limits.messageTimeoutMs, () =>
      this.#refuse({ code: CODE.cancelled, message: 'The message did not arrive in time' }),
    );
  }

  /**
   * From the first blocked write or half-received message on. Not by the stream's own timeout: that one outlives the
   * stream, and for all its time holds whatever was to be sent.
   */
  #watchStall(): void {
    if (this.#stall !== undefined) return;
    const before = this.#progress;
    this.#stall = this.#host.clock.after(this.#host.limits.stallTimeoutMs, () => {
      this.#stall = undefined;
      const isWaiting = this.#stream.writableLength > 0 || this.#isArriving;
      if (isWaiting && this.#progress === before) this.#stream.close(constants.NGHTTP2_CANCEL);
      else if (isWaiting) this.#watchStall();
    });
  }

  /** Grows with every byte that comes in or goes out. */
  get #progress(): number {
    const { session, writableLength } = this.#stream;
    return this.#receivedBytes + (session?.socket.bytesWritten ?? 0) - writableLength;
  }

  #release(): void {
    this.#host.budget.give(this.#heldBytes);
    this.#heldBytes = 0;
  }
}
