// A worker process under test: spawned as the server spawns it, spoken to frame by frame.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Socket } from 'node:net';

export interface ReceivedFrame {
  readonly header: Record<string, any>;
  readonly body: Buffer;
}

const MAIN = join(import.meta.dirname, '..', '..', 'src', 'workers', 'node-worker', 'main.ts');

/** The members of `load.model` that a test does not care about. */
export const LOAD_DEFAULTS = {
  name: 'digits',
  version: '1.0',
  handler: null,
  manifest: null,
  config: {},
  gpuId: null,
  batchSize: 8,
  envelope: null,
  limitMaxImagePixels: true,
  decodeInputRequest: true,
  threads: 1,
  sequenceHeaders: { id: 'ts_request_sequence_id', start: 'ts_request_sequence_start', end: 'ts_request_sequence_end' },
  continuousBatching: false,
  asyncCommunication: false,
  metrics: null,
  cage: null,
};

export interface TestRequest {
  readonly parts: readonly (readonly [name: string, contentType: string | null, bytes: Uint8Array])[];
  readonly headers?: readonly (readonly [string, string])[];
}

export class WorkerProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #socket: Socket;
  #unread = Buffer.alloc(0);
  #wake = (): void => {};
  #output = '';

  constructor(runtime: 'onnx' | 'node') {
    this.child = spawn(process.execPath, [MAIN, runtime], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    this.#socket = this.child.stdio[3] as Socket;
    this.#socket.on('data', (chunk: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, chunk]);
      this.#wake();
    });
    this.#socket.on('end', () => this.#wake());
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.on('data', (text: Buffer) => {
        this.#output += text.toString();
      });
    }
  }

  /** stdout and stderr so far. */
  get output(): string {
    return this.#output;
  }

  send(header: object, ...body: readonly Uint8Array[]): void {
    const text = Buffer.from(JSON.stringify(header));
    const prefix = Buffer.alloc(8);
    prefix.writeUInt32BE(text.length, 0);
    prefix.writeUInt32BE(
      body.reduce((sum, part) => sum + part.length, 0),
      4,
    );
    this.#socket.write(Buffer.concat([prefix, text, ...body]));
  }

  load(model: object): void {
    this.send({ t: 'load', model: { ...LOAD_DEFAULTS, ...model } });
  }

  run(batchId: number, requests: readonly TestRequest[], operation = 'predict'): void {
    const r = requests.map(({ parts, headers = [] }, index) => ({
      id: `request-${index}`,
      h: headers,
      p: parts.map(([name, contentType, bytes]) => [name, contentType, bytes.length]),
    }));
    this.send(
      { t: 'run', b: batchId, op: operation, r },
      ...requests.flatMap(({ parts }) => parts.map(([, , bytes]) => bytes)),
    );
  }

  async read(): Promise<ReceivedFrame> {
    for (;;) {
      if (this.#unread.length >= 8) {
        const headerBytes = this.#unread.readUInt32BE(0);
        const end = 8 + headerBytes + this.#unread.readUInt32BE(4);
        if (this.#unread.length >= end) {
          const frame = {
            header: JSON.parse(this.#unread.toString('utf8', 8, 8 + headerBytes)) as Record<string, any>,
            body: this.#unread.subarray(8 + headerBytes, end),
          };
          this.#unread = this.#unread.subarray(end);
          return frame;
        }
      }
      if (this.#socket.readableEnded) throw new Error(`The worker closed its socket.\n${this.#output}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  /** The bodies of a `done` frame, one for each result. */
  async results(): Promise<{ readonly meta: Record<string, any>; readonly body: Buffer }[]> {
    const { header, body } = await this.read();
    if (header['t'] !== 'done') throw new Error(`Expected done, got ${JSON.stringify(header)}\n${this.#output}`);
    let at = 0;
    return (header['r'] as Record<string, any>[]).map((meta) => {
      const from = at;
      at += meta['n'] as number;
      return { meta, body: body.subarray(from, at) };
    });
  }

  async exit(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exit();
  }
}
