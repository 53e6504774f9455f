// StreamPredictions2: every message is a request of the sequence it names; answers come back in order on the same stream,
// and a failed request is answered by a message instead of ending the call (surface spec 5.5).
import { Fault, toFault } from '../kernel/index.ts';
import type { Header, InputPart, Outlet, Reply, Ticket } from '../serving/index.ts';
import { UnreadableMessage, type Caller } from './method.ts';
import { inferenceRequest, type PredictionPorts } from './prediction-call.ts';
import { readPredictionsRequest, type PredictionsInput } from './predictions-request.ts';
import { sendFailure, sendPrediction } from './prediction-response.ts';
import { inferenceReason, inferenceStatus } from './status-of-fault.ts';
import { CODE, OK, type CallHandler, type Message } from './transport.ts';

/** The configured names of the headers that mark a sequence (surface spec 2.8). */
export interface SequenceHeaders {
  readonly id: string;
  readonly start: string;
  readonly end: string;
}

/** Answers owed on one stream before its sender has to wait. */
const MAX_OUTSTANDING = 64;

export class SequenceCall implements CallHandler {
  readonly #caller: Caller;
  readonly #ports: PredictionPorts;
  readonly #headers: SequenceHeaders;
  /** In the order of the requests; only the first may write to the stream. */
  readonly #owed: Slot[] = [];
  #isHalfClosed = false;

  constructor(caller: Caller, ports: PredictionPorts, headers: SequenceHeaders) {
    this.#caller = caller;
    this.#ports = ports;
    this.#headers = headers;
  }

  onMessage(message: Message): void {
    const slot = new Slot(() => this.#flush());
    this.#owed.push(slot);
    if (this.#owed.length === MAX_OUTSTANDING) this.#caller.call.pause();
    try {
      const input = readPredictionsRequest(message);
      if (!input.sequenceId) throw new Fault('bad_request', 'Parameter sequenceId is required.');
      const { dataPlane, gate } = this.#ports;
      slot.ticket = dataPlane.submit(inferenceRequest(input, this.#caller, gate, this.#headersFor(input)), slot);
    } catch (thrown) {
      if (thrown instanceof UnreadableMessage) return this.#breakOff();
      slot.fail(toFault(thrown));
    }
  }

  onHalfClose(): void {
    this.#isHalfClosed = true;
    this.#flush();
  }

  onCancel(): void {
    for (const slot of this.#owed.splice(0)) slot.ticket?.cancel();
  }

  #breakOff(): void {
    this.#caller.call.end({ code: CODE.internal, message: 'The request is not a valid protobuf message' });
    this.onCancel();
  }

  #headersFor({ sequenceId = '', parts }: PredictionsInput): Header[] {
    const { id, start, end } = this.#headers;
    const marks = [start, end].filter((name) => parts.some((part) => part.name === name && isTrue(part)));
    return [[id, sequenceId], ...marks.map((name): Header => [name, 'true'])];
  }

  #flush(): void {
    const { call } = this.#caller;
    for (let first = this.#owed[0]; first !== undefined; first = this.#owed[0]) {
      for (const answer of first.answers.splice(0)) {
        if (answer instanceof Fault) sendFailure(call, inSequence(answer), inferenceReason(answer));
        else sendPrediction(call, answer);
      }
      if (!first.isDone) return;
      this.#owed.shift();
      if (this.#owed.length === MAX_OUTSTANDING - 1) call.resume();
    }
    if (this.#isHalfClosed) call.end(OK);
  }
}

/** The place of one request's answers in the stream. */
class Slot implements Outlet {
  readonly answers: (Reply | Fault)[] = [];
  readonly #onAnswer: () => void;
  ticket: Ticket | undefined;
  isDone = false;

  constructor(onAnswer: () => void) {
    this.#onAnswer = onAnswer;
  }

  send(reply: Reply, isLast: boolean): void {
    this.answers.push(reply);
    this.isDone = isLast;
    this.#onAnswer();
  }

  fail(fault: Fault): void {
    this.answers.push(fault);
    this.isDone = true;
    this.#onAnswer();
  }
}

/** The status of a message carries the first line only; the second is its ErrorInfo. */
const inSequence = (fault: Fault) => ({ code: inferenceStatus(fault).code, message: fault.message });

const isTrue = ({ bytes, chunks }: InputPart): boolean =>
  bytes === 4 && Buffer.concat(chunks).toString('latin1').toLowerCase() === 'true';
