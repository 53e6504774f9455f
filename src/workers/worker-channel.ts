// The conversation with one worker: batches out, answers in, each checked against what was asked.
import type { Duplex } from 'node:stream';
import type { BatchItem, DeathCause, Operation, WorkerEvents, WorkerSpec } from '../serving/index.ts';
import { FrameReader, OVERSIZE } from './frame-reader.ts';
import { FrameWriter } from './frame-writer.ts';
import { announcedSize, parseReply, parseResult, ProtocolOffence, workerFault } from './worker-results.ts';

export interface ChannelOptions {
  readonly spec: WorkerSpec;
  readonly events: WorkerEvents;
  /** Ends the worker: it broke the protocol, answered too much, or could not load. */
  readonly condemn: (cause: DeathCause) => void;
}

/** Handler metrics in one frame: more is a flood. */
const MAX_METRIC_SAMPLES = 10_000;
/** What the log shows of a failure of the server's own. */
const MAX_BUG_CHARS = 200;
const UNKNOWN_BATCH = 'an answer to a batch that is not in hand';
/** Frames without a result carry no body. */
const RESULT_FRAMES = new Set(['item', 'done']);

export class WorkerChannel {
  readonly #writer: FrameWriter;
  readonly #options: ChannelOptions;
  /** Items of each batch in hand, by batch id. */
  readonly #inHand = new Map<number, number>();
  #itemsInHand = 0;
  #isLoaded = false;
  #hasSaidHello = false;
  #isCondemned = false;

  constructor(socket: Duplex, options: ChannelOptions) {
    this.#writer = new FrameWriter(socket);
    this.#options = options;
    const reader = new FrameReader({
      onFrame: (header, body, bytes) => this.#guard(() => this.#receive(header, body, bytes)),
      onOffence: (offence) => this.#offend(offence),
      // An unloaded worker has nothing to send; a loaded one at most a full response for every item it holds.
      maxBodyBytes: () => options.spec.maxResponseBytes * Math.max(1, this.#itemsInHand),
    });
    socket.on('data', (chunk: Uint8Array) => {
      if (!this.#isCondemned) reader.push(chunk);
    });
    // The exit of the process tells what happened; a broken socket only announces it.
    socket.on('error', () => {});
  }

  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  load(model: Readonly<Record<string, unknown>>): void {
    this.#writer.write({ t: 'load', model });
  }

  run(batchId: number, operation: Operation, items: readonly BatchItem[]): void {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    const requests = items.map((item) => {
      const parts = item.parts.map((part) => {
        for (const chunk of part.chunks) chunks.push(chunk);
        bytes += part.bytes;
        return [part.name, part.contentType ?? null, part.bytes];
      });
      return { id: item.requestId, h: item.headers, p: parts, k: item.isCached || undefined, s: item.sequenceId };
    });
    const isIdle = this.#inHand.size === 0;
    this.#inHand.set(batchId, items.length);
    this.#itemsInHand += items.length;
    this.#writer.write({ t: 'run', b: batchId, op: operation, r: requests }, chunks, bytes, () =>
      this.#options.events.onSent(batchId),
    );
    // A worker that waits for work gets it at once; a busy one loses nothing by a fuller write.
    if (isIdle) this.#writer.flush();
  }

  cancel(batchId: number, indices: readonly number[]): void {
    if (this.#inHand.has(batchId)) this.#writer.write({ t: 'cancel', b: batchId, i: indices });
  }

  stop(): void {
    this.#writer.write({ t: 'stop' });
  }

  #receive(header: Readonly<Record<string, unknown>>, body: readonly Uint8Array[], bytes: number): void {
    const { events } = this.#options;
    const kind = header['t'];
    if (bytes > 0 && !RESULT_FRAMES.has(String(kind))) throw new ProtocolOffence('a body where none belongs');
    switch (kind) {
      case 'done':
        return this.#done(header, body, bytes);
      case 'item':
        return this.#item(header, body, bytes);
      case 'fault':
        return events.onBatchFault(this.#close(header['b']), workerFault(header['code'], header['message']));
      case 'metric':
        return this.#metrics(header['m']);
      case 'hello':
        if (this.#hasSaidHello) throw new ProtocolOffence('a second hello');
        this.#hasSaidHello = true;
        return;
      case 'loaded':
        if (this.#isLoaded) throw new ProtocolOffence('a second loaded');
        this.#isLoaded = true;
        return events.onLoaded({ inputs: header['inputs'], outputs: header['outputs'] });
      case 'failed':
        return this.#failed(header['code'], header['message']);
      default:
        throw new ProtocolOffence('a frame of unknown kind');
    }
  }

  #done(header: Readonly<Record<string, unknown>>, body: readonly Uint8Array[], bytes: number): void {
    const records = header['r'];
    const expected = this.#inHand.get(header['b'] as number);
    if (expected === undefined) throw new ProtocolOffence(UNKNOWN_BATCH);
    if (!Array.isArray(records) || records.length !== expected) throw new ProtocolOffence('a batch answered in part');
    const batchId = this.#close(header['b']);
    this.#options.events.onDone(batchId, this.#split(records, body, bytes));
  }

  #split(records: readonly unknown[], body: readonly Uint8Array[], bytes: number): ReturnType<typeof parseResult>[] {
    const [only] = records;
    if (records.length === 1) {
      this.#checkSize(announcedSize(only), bytes);
      return [parseResult(only, body, bytes)];
    }
    const slices = new BodySlices(body);
    const results = records.map((record) => {
      const size = announcedSize(record);
      this.#checkSize(size, size);
      return parseResult(record, slices.take(size), size);
    });
    if (!slices.isEmpty) throw new ProtocolOffence('a body longer than its results');
    return results;
  }

  #item(header: Readonly<Record<string, unknown>>, body: readonly Uint8Array[], bytes: number): void {
    const { b: batchId, i: index } = header;
    const size = this.#inHand.get(batchId as number);
    if (size === undefined) throw new ProtocolOffence('a piece of a batch that is not in hand');
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= size) {
      throw new ProtocolOffence('a piece for an item that does not exist');
    }
    this.#checkSize(announcedSize(header), bytes);
    this.#options.events.onPiece(batchId as number, index, parseReply(header, body, bytes));
  }

  #metrics(samples: unknown): void {
    if (!Array.isArray(samples) || samples.length > MAX_METRIC_SAMPLES)
      throw new ProtocolOffence('metrics that are not a short list');
    this.#options.events.onMetrics(samples);
  }

  #failed(code: unknown, message: unknown): void {
    const text = typeof message === 'string' ? message.slice(0, 1024) : 'no reason given';
    this.#condemn({ kind: 'load_failed', isOutOfMemory: code === 507, message: text });
  }

  #checkSize(announced: number, received: number): void {
    if (announced > this.#options.spec.maxResponseBytes) throw new Oversize(announced);
    if (announced !== received) throw new ProtocolOffence('a size that is not the body’s');
  }

  /** Takes a batch out of hand; only one that is in hand can be answered. */
  #close(batchId: unknown): number {
    const size = this.#inHand.get(batchId as number);
    if (size === undefined) throw new ProtocolOffence(UNKNOWN_BATCH);
    this.#inHand.delete(batchId as number);
    this.#itemsInHand -= size;
    return batchId as number;
  }

  #guard(receive: () => void): void {
    try {
      receive();
    } catch (error) {
      if (error instanceof Oversize) this.#condemn({ kind: 'oversize_response', bytes: error.bytes });
      else if (error instanceof ProtocolOffence) this.#offend(error.message);
      // A bug of ours that this worker's answer has found ends the worker, and not the server.
      else this.#offend(`an answer that the server failed on (${String(error).slice(0, MAX_BUG_CHARS)})`);
    }
  }

  /** The first reason stands; whatever the worker still says is not heard. */
  #condemn(cause: DeathCause): void {
    if (this.#isCondemned) return;
    this.#isCondemned = true;
    this.#options.condemn(cause);
  }

  #offend(offence: string): void {
    this.#condemn(
      offence.startsWith(OVERSIZE)
        ? { kind: 'oversize_response', bytes: Number(offence.slice(OVERSIZE.length)) }
        : { kind: 'protocol', offence },
    );
  }
}

class Oversize extends Error {
  readonly bytes: number;
  constructor(bytes: number) {
    super('oversize');
    this.bytes = bytes;
  }
}

/** Deals a body out from the front, in slices and without copies. */
class BodySlices {
  readonly #chunks: readonly Uint8Array[];
  #chunk = 0;
  #offset = 0;

  constructor(chunks: readonly Uint8Array[]) {
    this.#chunks = chunks;
  }

  get isEmpty(): boolean {
    return this.#chunk >= this.#chunks.length;
  }

  take(bytes: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    let missing = bytes;
    while (missing > 0) {
      const chunk = this.#chunks[this.#chunk];
      if (chunk === undefined) throw new ProtocolOffence('a body shorter than its results');
      const slice = chunk.subarray(this.#offset, this.#offset + missing);
      taken.push(slice);
      missing -= slice.byteLength;
      this.#offset += slice.byteLength;
      if (this.#offset === chunk.byteLength) {
        this.#chunk += 1;
        this.#offset = 0;
      }
    }
    return taken;
  }
}
