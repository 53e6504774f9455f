// The members of docs/worker-protocol.md that this worker reads and writes.

export type Operation = 'predict' | 'explain' | 'describe';

/** `load.model`. */
export interface LoadModel {
  readonly name: string;
  readonly version: string;
  readonly dir: string;
  readonly handler: string | null;
  readonly manifest: Readonly<Record<string, unknown>> | null;
  readonly config: Readonly<Record<string, unknown>>;
  readonly gpuId: number | null;
  readonly batchSize: number;
  readonly limitMaxImagePixels: boolean;
  readonly decodeInputRequest: boolean;
  readonly threads: number;
  readonly asyncCommunication: boolean;
}

export interface Part {
  readonly name: string;
  readonly contentType: string | null;
  readonly bytes: Buffer;
}

/** One request of a `run` frame, its parts cut out of the body without a copy. */
export interface RunRequest {
  readonly id: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly parts: readonly Part[];
}

/** One result of a `done` or `item` frame. */
export interface ItemResult {
  readonly body: readonly Uint8Array[];
  readonly status?: readonly [code: number, phrase: string];
  readonly contentType?: string;
  readonly headers?: readonly (readonly [string, string])[];
  /** This item alone failed; the body is not sent. */
  readonly error?: readonly [code: number, message: string];
}

export interface TensorMetadata {
  readonly name: string;
  /** Open Inference Protocol name (`FP32`). */
  readonly datatype: string;
  /** -1 where the dimension is free. */
  readonly shape: readonly number[];
}

export interface LoadedModel {
  readonly inputs?: readonly TensorMetadata[];
  readonly outputs?: readonly TensorMetadata[];
}

export interface Batch {
  readonly operation: Operation;
  readonly requests: readonly RunRequest[];
  /** Aborts when the server no longer wants this item. */
  signal(index: number): AbortSignal;
  /** Sends a piece of a streamed answer now. */
  sendPiece(index: number, piece: ItemResult): void;
}

/** What `main.ts` drives: one model, loaded once. */
export interface ModelRuntime {
  load(model: LoadModel): Promise<LoadedModel>;
  /** One result for each request, in order. Throwing fails the whole batch. */
  run(batch: Batch): Promise<readonly ItemResult[]>;
}

/** Wire members of `r` in a `run` frame. */
export function parseRequests(list: unknown, body: Buffer): RunRequest[] {
  let at = 0;
  return (list as { id: string; h: [string, string][]; p: [string, string | null, number][] }[]).map((request) => ({
    id: request.id,
    headers: request.h,
    parts: request.p.map(([name, contentType, size]) => {
      const bytes = body.subarray(at, at + size);
      at += size;
      return { name, contentType, bytes };
    }),
  }));
}

/** The JSON half of a result. */
export function resultHeader(result: ItemResult): Record<string, unknown> {
  if (result.error) return { n: 0, e: result.error };
  return {
    n: resultBytes(result),
    ...(result.status && { st: result.status }),
    ...(result.contentType !== undefined && { ct: result.contentType }),
    ...(result.headers && result.headers.length > 0 && { h: result.headers }),
  };
}

export function resultBytes(result: ItemResult): number {
  return result.error ? 0 : result.body.reduce((sum, piece) => sum + piece.length, 0);
}
