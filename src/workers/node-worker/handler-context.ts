// What a handler sees of one batch, and what it sets on the answers.
import { type HandlerContext, type OutputItem, PredictionError, isPredictionError } from './handler-api.ts';
import type { Batch, ItemResult, LoadModel } from './protocol.ts';

interface Answer {
  status?: readonly [number, string];
  contentType?: string;
  readonly headers: Map<string, string>;
}

export class BatchContext implements HandlerContext {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly modelDir: string;
  readonly manifest: HandlerContext['manifest'];
  readonly modelConfig: HandlerContext['modelConfig'];
  readonly gpuId: number | null;
  readonly batchSize: number;
  readonly threads: number;
  readonly #batch: Batch | undefined;
  readonly #answers = new Map<number, Answer>();

  /** Without a batch while the model is loading. */
  constructor(model: LoadModel, batch: Batch | undefined) {
    this.modelName = model.name;
    this.modelVersion = model.version;
    this.modelDir = model.dir;
    this.manifest = model.manifest;
    this.modelConfig = model.config;
    this.gpuId = model.gpuId;
    this.batchSize = model.batchSize;
    this.threads = model.threads;
    this.#batch = batch;
  }

  getRequestId(index = 0): string | undefined {
    return this.#batch?.requests[index]?.id;
  }

  getRequestHeader(index: number, name: string): string | undefined {
    return this.#batch?.requests[index]?.headers.findLast(([spelled]) => spelled === name)?.[1];
  }

  getAllRequestHeaders(index: number): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#batch?.requests[index]?.headers ?? []);
  }

  getSignal(index: number): AbortSignal {
    return this.#batch?.signal(index) ?? new AbortController().signal;
  }

  setResponseStatus(code: number, phrase = '', index = 0): void {
    this.#answer(index).status = [code, phrase];
  }

  setResponseContentType(index: number, value: string): void {
    this.#answer(index).contentType = value;
  }

  setResponseHeader(index: number, name: string, value: string): void {
    this.#answer(index).headers.set(name, value);
  }

  sendIntermediate(index: number, piece: OutputItem): void {
    this.#batch?.sendPiece(index, this.result(index, piece));
  }

  predictionError(message: string, statusCode?: number): PredictionError {
    return new PredictionError(message, statusCode);
  }

  /** Throws a TypeError for a value that has no JSON form. */
  result(index: number, output: OutputItem): ItemResult {
    if (isPredictionError(output)) return { body: [], error: [output.statusCode, output.message] };
    const answer = this.#answers.get(index);
    return {
      body: [encode(output)],
      ...(answer?.status && { status: answer.status }),
      ...(answer?.contentType !== undefined && { contentType: answer.contentType }),
      ...(answer && { headers: [...answer.headers] }),
    };
  }

  #answer(index: number): Answer {
    let answer = this.#answers.get(index);
    if (answer === undefined) {
      answer = { headers: new Map() };
      this.#answers.set(index, answer);
    }
    return answer;
  }
}

/** Surface spec 2.6. */
function encode(output: OutputItem): Uint8Array {
  if (output instanceof Uint8Array) return output;
  if (typeof output === 'string') return Buffer.from(output);
  const text = JSON.stringify(output, undefined, 2) as string | undefined;
  if (text === undefined) throw new TypeError(`A handler returned ${typeof output}, which has no JSON form.`);
  return Buffer.from(text);
}
