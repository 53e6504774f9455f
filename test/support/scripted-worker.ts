// A worker that does what a test says: it records the batches it is given and answers when told.
import type { Fault } from '../../src/kernel/index.ts';
import type {
  BatchItem,
  BatchResult,
  DeathCause,
  Operation,
  Reply,
  WorkerEvents,
  WorkerHandle,
  WorkerLauncher,
  WorkerSpec,
} from '../../src/serving/index.ts';

export interface RecordedBatch {
  readonly id: number;
  readonly operation: Operation;
  readonly items: readonly BatchItem[];
}

export class ScriptedWorker implements WorkerHandle {
  readonly pid = 4242;
  readonly spec: WorkerSpec;
  readonly events: WorkerEvents;
  readonly batches: RecordedBatch[] = [];
  readonly cancelled: number[] = [];
  stopCalls = 0;

  constructor(spec: WorkerSpec, events: WorkerEvents) {
    this.spec = spec;
    this.events = events;
  }

  run(id: number, operation: Operation, items: readonly BatchItem[]): void {
    this.batches.push({ id, operation, items });
  }

  cancel(batchId: number): void {
    this.cancelled.push(batchId);
  }

  async stop(): Promise<void> {
    this.stopCalls += 1;
    this.events.onExit({ kind: 'stopped' });
  }

  kill(cause: DeathCause): void {
    this.events.onExit(cause);
  }

  /** Answers the oldest unanswered batch with the texts given, or with `ok` for every item. */
  answer(...texts: string[]): void {
    const batch = this.batches.shift()!;
    this.events.onDone(
      batch.id,
      batch.items.map((_, index) => result(texts[index] ?? 'ok')),
    );
  }

  fail(fault: Fault): void {
    this.events.onBatchFault(this.batches.shift()!.id, fault);
  }
}

export class ScriptedLauncher implements WorkerLauncher {
  readonly workers: ScriptedWorker[] = [];

  launch(spec: WorkerSpec, events: WorkerEvents): ScriptedWorker {
    const worker = new ScriptedWorker(spec, events);
    this.workers.push(worker);
    return worker;
  }

  get last(): ScriptedWorker {
    return this.workers.at(-1)!;
  }
}

export function replyOf(text: string): Reply {
  const body = Buffer.from(text);
  return { status: 200, phrase: '', contentType: undefined, headers: [], body: [body], bytes: body.length };
}

export const result = (text: string, more = false): BatchResult => ({ reply: replyOf(text), more });

/** An outlet that remembers what it heard, as short texts. */
export class RecordingOutlet {
  readonly heard: string[] = [];

  send(reply: Reply, isLast: boolean): void {
    this.heard.push(`${isLast ? 'last' : 'piece'}:${Buffer.concat(reply.body).toString()}`);
  }

  fail(fault: Fault): void {
    this.heard.push(`fail:${fault.code}`);
  }
}
