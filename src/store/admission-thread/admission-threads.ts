// Threads that hash, unpack and inspect, so that nothing an archive holds can delay a prediction (design: the data plane
// never waits for the control plane). What hangs or outgrows its memory is ended with its thread, and refuses the model.
import { getCompileCacheDir } from 'node:module';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { refuse } from '../../archive/index.ts';
import type { Finding } from '../../kernel/index.ts';
import type { SignatureCheck } from '../provenance/verify-published.ts';
import { Turns } from '../models/turns.ts';
import { errorOf, type Answer, type Job, type PublishedName, type Results, type StoredName } from './jobs.ts';

/** Of JavaScript objects: the largest honest header (100 MB of safetensors) parses within it. */
const MAX_HEAP_MB = 1024;
/** Enough to keep a disk busy, few enough to leave the processors to predictions. */
const MAX_BUSY_THREADS = 2;
/** A thread costs 15 MB and a tenth of a second to start: worth keeping between the models of one deployment. */
const IDLE_MS = 10_000;
const ENTRY = new URL(`./thread-main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);

export class AdmissionThreads implements AsyncDisposable {
  readonly #turns = new Turns<symbol>(MAX_BUSY_THREADS);
  readonly #idle = new Map<Worker, NodeJS.Timeout>();

  /**
   * Rejects with what the job threw. When `signal` fires, the thread is gone before this rejects: nobody reads
   * descriptors or writes into directories after that.
   */
  run<J extends Job>(job: J, signal: AbortSignal): Promise<Results[J['kind']]> {
    return this.#turns.run(Symbol(job.kind), () => this.#run(job, signal));
  }

  async #run<J extends Job>(job: J, signal: AbortSignal): Promise<Results[J['kind']]> {
    signal.throwIfAborted();
    const thread = this.#take();
    let answer: Answer | undefined;
    try {
      answer = await answerOf(thread, job, signal);
    } finally {
      if (answer === undefined) await thread.terminate();
      else this.#rest(thread);
    }
    if (!answer.ok) throw errorOf(answer.failure);
    return answer.value as Results[J['kind']];
  }

  /** What the inspection of the archive room has to say about files in quarantine. */
  inspect(files: readonly StoredName[], signal: AbortSignal): Promise<readonly Finding[]> {
    const stored = files.map(({ name, path, size }) => ({ name, path, size }));
    return this.run({ kind: 'inspect', files: stored }, signal);
  }

  /** Whether one of the signers signed exactly these published files, or their archive. */
  verify(check: SignatureCheck, files: readonly PublishedName[], signal: AbortSignal): Promise<Results['verify']> {
    return this.run({ kind: 'verify', ...check, files }, signal);
  }

  /** Formats of those published files that are models, by name. */
  formats(files: readonly PublishedName[], signal: AbortSignal): Promise<Results['formats']> {
    return this.run({ kind: 'formats', files }, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const threads = [...this.#idle.keys()];
    for (const thread of threads) this.#wake(thread);
    await Promise.all(threads.map((thread) => thread.terminate()));
  }

  #take(): Worker {
    const [idle] = this.#idle.keys();
    if (idle !== undefined) {
      this.#wake(idle);
      return idle;
    }
    const thread = new Worker(ENTRY, {
      name: 'davy-admission',
      // Nothing of ours: what parses hostile bytes needs no variables and no arguments.
      env: compileCache(),
      argv: [],
      execArgv: ['--disable-warning=ExperimentalWarning'],
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    // What fails after its answer, with nobody listening, must not end the server.
    thread.on('error', () => {});
    return thread;
  }

  /** An idle thread keeps neither the process alive nor its memory for long. */
  #rest(thread: Worker): void {
    thread.unref();
    const timer = setTimeout(() => {
      this.#idle.delete(thread);
      void thread.terminate();
    }, IDLE_MS);
    timer.unref();
    this.#idle.set(thread, timer);
    thread.once('exit', () => this.#wake(thread));
  }

  #wake(thread: Worker): void {
    clearTimeout(this.#idle.get(thread));
    this.#idle.delete(thread);
    thread.removeAllListeners('exit');
    thread.ref();
  }
}

/** The server's cache of compiled modules, where it has one: a thread starts in a third of the time. */
function compileCache(): Record<string, string> {
  const folder = getCompileCacheDir();
  // Node adds a folder for its version by itself.
  return folder === undefined ? {} : { NODE_COMPILE_CACHE: dirname(folder) };
}

async function answerOf(thread: Worker, job: Job, signal: AbortSignal): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const onAbort = (): void => reject(signal.reason);
  const onError = (error: unknown): void => reject(deathOf(error));
  const onExit = (): void => reject(new Error('the admission thread ended'));
  signal.addEventListener('abort', onAbort, { once: true });
  thread.once('message', resolve).once('error', onError).once('messageerror', onError).once('exit', onExit);
  try {
    thread.postMessage(job);
    return await promise;
  } finally {
    signal.removeEventListener('abort', onAbort);
    thread.off('message', resolve).off('error', onError).off('messageerror', onError).off('exit', onExit);
  }
}

function deathOf(error: unknown): unknown {
  const isTooLarge = (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY';
  return isTooLarge ? refuse('inspecting it takes more memory than allowed', error) : error;
}
