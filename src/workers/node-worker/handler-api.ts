// The contract of a TypeScript or JavaScript handler (runtime `node`). Import it for its types:
//
//   import type { Handler } from 'davy-serve/handler';
//
// A handler module exports `handle` and, if it wants, `initialize`, `explain` and `describe`; or it exports one class
// (or a default export) with these methods. Each may be synchronous or asynchronous.

/**
 * One value of a request. `application/json` arrives parsed, `text/*` as a string, anything else as bytes
 * (a view: copy it if you keep it after `handle` has returned).
 */
export type InputValue = Buffer | string | JsonValue;

export type JsonValue = null | boolean | number | string | JsonValue[] | { [name: string]: JsonValue };

/** One request: part name to value. A plain body is called `body`. */
export type InputRow = Readonly<Record<string, InputValue>>;

/**
 * What a handler gives back for one request: bytes and text travel as they are, anything else as JSON.
 * A `PredictionError` fails this request alone.
 */
export type OutputItem = Uint8Array | string | JsonValue | PredictionError;

export interface Handler {
  /** Once, before the first request. Throwing means that the model cannot be loaded. */
  initialize?(context: HandlerContext): void | Promise<void>;
  /** One output for each row, in order. Throwing fails every request of the batch, then each is tried alone. */
  handle(data: readonly InputRow[], context: HandlerContext): readonly OutputItem[] | Promise<readonly OutputItem[]>;
  explain?: Handler['handle'];
  /** Shown by `GET /models/{name}?customized=true`. */
  describe?(context: HandlerContext): JsonValue | Promise<JsonValue>;
}

/** Set up once for `initialize`; a fresh one for each batch. `index` counts the rows of the batch from 0. */
export interface HandlerContext {
  readonly modelName: string;
  readonly modelVersion: string;
  /** Absolute path of the unpacked archive, read-only. */
  readonly modelDir: string;
  readonly manifest: Readonly<Record<string, unknown>> | null;
  /** The parsed model-config.yaml; `{}` without one. */
  readonly modelConfig: Readonly<Record<string, unknown>>;
  readonly gpuId: number | null;
  readonly batchSize: number;
  /** CPU threads this worker may use. */
  readonly threads: number;

  getRequestId(index?: number): string | undefined;
  /** Case-sensitive, as the client spelled it; the last value when a name occurs twice. */
  getRequestHeader(index: number, name: string): string | undefined;
  getAllRequestHeaders(index: number): Readonly<Record<string, string>>;
  /** Aborts when the client of this row is gone or out of time. */
  getSignal(index: number): AbortSignal;

  setResponseStatus(code: number, phrase?: string, index?: number): void;
  setResponseContentType(index: number, value: string): void;
  setResponseHeader(index: number, name: string, value: string): void;
  /** Streams one piece to one client; what `handle` returns for that row is the last piece. */
  sendIntermediate(index: number, piece: OutputItem): void;
  /** Throw it to fail the batch, or return it as one row's output. For archives, which can import types only. */
  predictionError(message: string, statusCode?: number): PredictionError;
}

/** A failure that the client may see. Recognised by its name, so a handler may bring its own class of that name. */
export class PredictionError extends Error {
  readonly statusCode: number;

  constructor(message: string, statusCode = 500) {
    super(message);
    this.statusCode = statusCode;
  }
}
PredictionError.prototype.name = 'PredictionError';

export function isPredictionError(thrown: unknown): thrown is PredictionError {
  return (
    thrown instanceof Error &&
    thrown.name === 'PredictionError' &&
    Number.isInteger((thrown as PredictionError).statusCode)
  );
}
