// Predictions and StreamPredictions: one request to the data path, its pieces back as they come.
import { Fault, newRequestId } from '../kernel/index.ts';
import { scoped, type Gate } from '../policy/index.ts';
import type { DataPlane, Header, InferenceRequest, Outlet, Reply, Ticket } from '../serving/index.ts';
import { SingleRequest, type Caller } from './method.ts';
import { readPredictionsRequest, type PredictionsInput } from './predictions-request.ts';
import { sendPrediction } from './prediction-response.ts';
import { inferenceStatus } from './status-of-fault.ts';
import { OK, type Message } from './transport.ts';

/** Pieces that become one message: no client takes a larger one, and a handler may stream for ever. */
export const MAX_JOINED_BYTES = 64 * 1024 * 1024;

export interface PredictionPorts {
  readonly dataPlane: DataPlane;
  readonly gate: Gate;
}

export class PredictionCall extends SingleRequest implements Outlet {
  readonly #ports: PredictionPorts;
  readonly #caller: Caller;
  readonly #isStream: boolean;
  /** Pieces of a streaming handler behind the unary method, which has one message for all of them. */
  readonly #pieces: Reply[] = [];
  #pieceBytes = 0;
  #ticket: Ticket | undefined;
  #isOver = false;

  constructor(caller: Caller, ports: PredictionPorts, isStream: boolean) {
    super(caller.call, inferenceStatus);
    this.#caller = caller;
    this.#ports = ports;
    this.#isStream = isStream;
  }

  protected override onRequest(message: Message): void {
    const input = readPredictionsRequest(message);
    this.#ticket = this.#ports.dataPlane.submit(inferenceRequest(input, this.#caller, this.#ports.gate, []), this);
    if (this.#isOver) this.#ticket.cancel();
  }

  send(reply: Reply, isLast: boolean): void {
    if (this.#isStream) sendPrediction(this.call, reply);
    else if (!this.#keep(reply)) return;
    if (!isLast) return;
    this.#isOver = true;
    if (!this.#isStream) sendPrediction(this.call, joined(this.#pieces));
    this.call.end(OK);
  }

  #keep(piece: Reply): boolean {
    if (this.#isOver) return false;
    this.#pieces.push(piece);
    this.#pieceBytes += piece.bytes;
    if (this.#pieceBytes <= MAX_JOINED_BYTES) return true;
    this.#pieces.length = 0;
    this.fail(tooManyPieces());
    this.#ticket?.cancel();
    return false;
  }

  override fail(thrown: unknown): void {
    this.#isOver = true;
    super.fail(thrown);
  }

  override onCancel(): void {
    this.#isOver = true;
    this.#ticket?.cancel();
  }
}

/** Throws Fault `bad_request` without a model, `forbidden` when the key does not cover it. */
export function inferenceRequest(
  { modelName, version, parts, sequenceId }: PredictionsInput,
  { call, principal }: Caller,
  gate: Gate,
  headers: readonly Header[],
): InferenceRequest {
  if (modelName === '') throw new Fault('bad_request', 'Parameter model_name is required.');
  gate.require(principal, scoped('infer', modelName));
  return {
    requestId: newRequestId(),
    operation: 'predict',
    model: modelName,
    version,
    headers,
    parts,
    isRpc: true,
    ...(sequenceId === undefined || sequenceId === '' ? {} : { sequenceId }),
    ...(call.timeoutMs === undefined ? {} : { timeoutMs: call.timeoutMs }),
  };
}

export const tooManyPieces = (): Fault =>
  new Fault('prediction_failed', 'The streamed answer is too large for one message. Use StreamPredictions.');

function joined(pieces: readonly Reply[]): Reply {
  const [first] = pieces;
  if (first !== undefined && pieces.length === 1) return first;
  const body = pieces.flatMap((piece) => piece.body);
  const bytes = pieces.reduce((sum, piece) => sum + piece.bytes, 0);
  return { status: 200, phrase: '', contentType: undefined, headers: [], body, bytes };
}
