// Reads one request body under limits counted in bytes. The chunks stay as they arrived, crumbs excepted.
import type { IncomingMessage } from 'node:http';
import { mergeCrumbs, type ByteBudget } from '../kernel/index.ts';

export interface Body {
  readonly chunks: readonly Uint8Array[];
  readonly bytes: number;
}

export const NO_BODY: Body = { chunks: [], bytes: 0 };

export interface BodyReader {
  onBody(body: Body): void;
  /** More bytes than `maxBytes`. */
  onTooLarge(): void;
  /** Other requests hold all the memory that bodies may take. */
  onNoRoom(): void;
}

/** Calls the reader once, or never if the client goes away first. Bytes taken from the budget are the caller's to return. */
export function readBody(
  request: IncomingMessage,
  maxBytes: number,
  budget: ByteBudget,
  onTaken: (bytes: number) => void,
  reader: BodyReader,
): void {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let merged = 0;
  const stop = (): void => {
    request.off('data', onData);
    request.off('end', onEnd);
  };
  const onData = (chunk: Buffer): void => {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      stop();
      reader.onTooLarge();
      return;
    }
    if (!budget.take(chunk.byteLength)) {
      stop();
      reader.onNoRoom();
      return;
    }
    onTaken(chunk.byteLength);
    chunks.push(chunk);
    merged = mergeCrumbs(chunks, merged);
  };
  const onEnd = (): void => reader.onBody({ chunks, bytes });
  request.on('data', onData);
  request.on('end', onEnd);
}

/** The body as one piece; copies only when it came in several. */
export function contiguous(body: Body): Buffer {
  const [only] = body.chunks;
  if (only === undefined) return Buffer.alloc(0);
  if (body.chunks.length === 1) return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  return Buffer.concat(body.chunks, body.bytes);
}
