// The process entry of the `onnx` and `node` runtimes: `node main.ts onnx|node`, with the socket on descriptor 3.
// Only what the first frame needs is imported here; the runtime follows once the server has said which model it is.
import { WorkerChannel } from './channel.ts';
import { batchFault, loadFailure } from './failures.ts';
import {
  type Batch,
  type ItemResult,
  type LoadModel,
  type ModelRuntime,
  type Operation,
  parseRequests,
} from './protocol.ts';
import type { Frame } from './frames.ts';

const DESCRIPTOR = 3;

const runtimeName = process.argv[2] === 'node' ? 'node' : 'onnx';
let runtime: ModelRuntime | undefined;
let isConcurrent = false;
/** Frames are served in order; each step waits for the one before. */
let tail = Promise.resolve();
const aborts = new Map<number, Map<number, AbortController>>();

const channel = new WorkerChannel(DESCRIPTOR, onFrame, () => process.exit(0));
channel.send({ t: 'hello', pid: process.pid, runtime: runtimeName });

function onFrame({ header, body }: Frame): void {
  switch (header['t']) {
    case 'load':
      tail = tail.then(() => load(header['model'] as LoadModel));
      break;
    case 'run': {
      const batchId = header['b'] as number;
      aborts.set(batchId, new Map());
      const serve = (): Promise<void> => run(batchId, header['op'] as Operation, header['r'], body);
      if (isConcurrent) void serve();
      else tail = tail.then(serve);
      break;
    }
    case 'cancel':
      for (const index of header['i'] as number[]) abortOf(header['b'] as number, index)?.abort();
      break;
    case 'stop':
      tail = tail.then(async () => {
        await channel.close();
        process.exit(0);
      });
      break;
    default:
      throw new Error(`Unknown frame ${String(header['t'])}`);
  }
}

async function load(model: LoadModel): Promise<void> {
  try {
    const made = await makeRuntime();
    const metadata = await made.load(model);
    runtime = made;
    isConcurrent = runtimeName === 'node' && model.asyncCommunication;
    channel.send({ t: 'loaded', ...metadata });
  } catch (error) {
    console.error(error);
    channel.send({ t: 'failed', ...loadFailure(error) });
    await channel.close();
    process.exit(1);
  }
}

async function makeRuntime(): Promise<ModelRuntime> {
  if (runtimeName === 'node') return new (await import('./node-runtime.ts')).NodeRuntime();
  return new (await import('./onnx-runtime.ts')).OnnxRuntime();
}

/** Never rejects: whatever happens to a batch is an answer. */
async function run(batchId: number, operation: Operation, list: unknown, body: Buffer): Promise<void> {
  try {
    if (runtime === undefined) throw new Error('run before load');
    const batch: Batch = {
      operation,
      requests: parseRequests(list, body),
      signal: (index) => (abortOf(batchId, index) ?? new AbortController()).signal,
      sendPiece: (index: number, piece: ItemResult) => channel.sendPiece(batchId, index, piece),
    };
    channel.sendDone(batchId, await runtime.run(batch));
  } catch (error) {
    const fault = batchFault(error);
    if (fault.code >= 500) console.error(error);
    channel.send({ t: 'fault', b: batchId, ...fault });
  } finally {
    aborts.delete(batchId);
  }
}

function abortOf(batchId: number, index: number): AbortController | undefined {
  const batch = aborts.get(batchId);
  if (batch === undefined) return undefined;
  let controller = batch.get(index);
  if (controller === undefined) {
    controller = new AbortController();
    batch.set(index, controller);
  }
  return controller;
}
