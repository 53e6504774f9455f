// A caged worker with the hostile handler in it, started by the product's own launcher.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../src/kernel/index.ts';
import { Announcements, type DeathCause, type Runtime, type WorkerHandle } from '../../../src/serving/index.ts';
import { createWorkerLauncher, type Cage } from '../../../src/workers/index.ts';
import type { WorkerLimits } from '../../../src/policy/index.ts';

const ROOT = join(import.meta.dirname, '..', '..', '..');

/** Puts the archive's files where an admitted model would lie. */
export function writeHostileModel(dir: string): void {
  mkdirSync(dir, { recursive: true });
  for (const file of ['hostile_handler.py', 'hostile_handler.mjs']) {
    copyFileSync(join(import.meta.dirname, file), join(dir, file));
  }
  copyFileSync(join(ROOT, 'python', 'davy_worker', 'cage_probes.py'), join(dir, 'cage_probes.py'));
  writeFileSync(join(dir, 'weights.bin'), 'weights');
}

export type Answer =
  | { readonly kind: 'answer'; readonly text: string }
  | { readonly kind: 'died'; readonly cause: DeathCause };

export class HostileWorker {
  readonly #handle: WorkerHandle;
  #settle: (answer: Answer) => void = () => {};
  readonly #output: string[] = [];
  #batch = 0;
  readonly loaded: Promise<void>;
  readonly gone: Promise<DeathCause>;

  constructor(cage: Cage, dir: string, limits: WorkerLimits, interpreter: string, runtime: Runtime = 'python') {
    const loaded = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<DeathCause>();
    this.loaded = loaded.promise;
    this.gone = gone.promise;
    const announce = new Announcements();
    const output = this.#output;
    announce.worker.subscribe(({ event }) => {
      if (event.kind === 'output') output.push(event.line);
    });
    const launcher = createWorkerLauncher({
      cage,
      clock: systemClock,
      announce,
      limitsFor: () => limits,
      operatorEnv: {},
    });
    this.#handle = launcher.launch(
      {
        workerId: '9000',
        runtime,
        interpreter,
        dir,
        threads: 1,
        gpuId: null,
        startupTimeoutMs: 30_000,
        responseTimeoutMs: 30_000,
        maxResponseBytes: 1 << 20,
        artifactBytes: 0,
        packagesDir: null,
        askedLimits: undefined,
        load: { ...LOAD, dir, handler: runtime === 'python' ? 'hostile_handler.py:handle' : 'hostile_handler.mjs' },
      },
      {
        onStarted: () => {},
        onLoaded: () => loaded.resolve(),
        onSent: () => {},
        onPiece: () => {},
        onDone: (_batch, [result]) => {
          const text =
            result !== undefined && 'reply' in result
              ? Buffer.concat(result.reply.body).toString()
              : `fault: ${String(result)}`;
          this.#settle({ kind: 'answer', text });
        },
        onBatchFault: (_batch, fault) => this.#settle({ kind: 'answer', text: `fault: ${fault.message}` }),
        onMetrics: () => {},
        onOutputDropped: () => {},
        onExit: (cause) => {
          loaded.reject(new Error(`the worker ended: ${JSON.stringify(cause)}\n${output.join('\n')}`));
          this.#settle({ kind: 'died', cause });
          gone.resolve(cause);
        },
      },
    );
    loaded.promise.catch(() => {});
  }

  /** What it printed so far. */
  get output(): readonly string[] {
    return this.#output;
  }

  get pid(): number {
    return this.#handle.pid ?? 0;
  }

  /** One request at a time. */
  ask(task: object): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#settle = resolve;
    const body = Buffer.from(JSON.stringify(task));
    this.#handle.run((this.#batch += 1), 'predict', [
      {
        requestId: `r${this.#batch}`,
        headers: [],
        parts: [{ name: 'body', contentType: 'application/json', chunks: [body], bytes: body.length }],
      },
    ]);
    return promise;
  }

  async end(): Promise<DeathCause> {
    this.#handle.kill({ kind: 'stopped' });
    return this.gone;
  }
}

const LOAD = {
  name: 'hostile',
  version: '1.0',
  manifest: null,
  config: {},
  gpuId: null,
  batchSize: 1,
  envelope: null,
  limitMaxImagePixels: true,
  decodeInputRequest: true,
  threads: 1,
  sequenceHeaders: { id: 'ts_request_sequence_id', start: 'ts_request_sequence_start', end: 'ts_request_sequence_end' },
  continuousBatching: false,
  asyncCommunication: false,
  metrics: null,
};
