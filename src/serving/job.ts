// One accepted request on its way through a lane. Its outlet hears exactly one end, whoever gets there first.
import { releaseBytes, toFault, type Fault, type Timer } from '../kernel/index.ts';
import type { InferenceRequest, Outlet, Reply } from './inference.ts';

export class Job {
  readonly request: InferenceRequest;
  readonly arrivedAtMs: number;
  readonly bytes: number;
  /** When it left the queue for a worker the last time. */
  sentAtMs = 0;
  /** Travels in a batch of its own: its last batch failed, or it is a describe job. */
  isAlone: boolean;
  /** How often a worker died with it in hand, unanswered. */
  deaths = 0;
  hasStreamed = false;
  isQueued = false;
  /** Continuous batching: the worker knows the job already, so only its headers travel again. */
  isCached = false;
  deadline: Timer | undefined;
  /** Writes of its bodies towards workers that are not known to have finished. */
  #pendingWrites = 0;
  readonly #outlet: Outlet;
  #hasEnded = false;

  constructor(request: InferenceRequest, outlet: Outlet, arrivedAtMs: number) {
    this.request = request;
    this.#outlet = outlet;
    this.arrivedAtMs = arrivedAtMs;
    this.isAlone = request.operation === 'describe';
    let bytes = 0;
    for (const part of request.parts) bytes += part.bytes;
    this.bytes = bytes;
  }

  /** True once answered, failed, cancelled or expired: nothing more may be sent, and no worker should see it. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  piece(reply: Reply): void {
    if (this.#hasEnded) return;
    this.hasStreamed = true;
    this.#send(reply, false);
  }

  /** False when the job had ended before. */
  answer(reply: Reply): boolean {
    if (!this.#end()) return false;
    this.#send(reply, true);
    return true;
  }

  fail(fault: Fault): boolean {
    if (!this.#end()) return false;
    this.#refuse(fault);
    return true;
  }

  /** The client is gone: nobody is told. */
  abandon(): boolean {
    return this.#end();
  }

  /** Its bodies are being written to a worker. A worker may answer before it has read them. */
  beginWrite(): void {
    this.#pendingWrites += 1;
  }

  endWrite(): void {
    this.#pendingWrites -= 1;
    this.#releaseIfOver();
  }

  /** A door that cannot write this answer is this request's trouble, and nobody else's. */
  #send(reply: Reply, isLast: boolean): void {
    try {
      this.#outlet.send(reply, isLast);
    } catch (thrown) {
      this.#refuse(toFault(thrown));
    }
  }

  #refuse(fault: Fault): void {
    try {
      this.#outlet.fail(fault);
    } catch {
      // Nothing is left to say to this client; its connection ends by the limits of the door.
    }
  }

  #end(): boolean {
    if (this.#hasEnded) return false;
    this.#hasEnded = true;
    this.deadline?.cancel();
    this.#releaseIfOver();
    return true;
  }

  /** Nobody will read the bodies again: there is no retry after the end. */
  #releaseIfOver(): void {
    if (!this.#hasEnded || this.#pendingWrites > 0) return;
    for (const { chunks } of this.request.parts) releaseBytes(chunks);
  }
}
