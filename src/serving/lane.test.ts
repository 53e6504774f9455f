import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Fault } from '../kernel/index.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import {
  RecordingOutlet,
  result,
  replyOf,
  ScriptedLauncher,
  type ScriptedWorker,
} from '../../test/support/scripted-worker.ts';
import { Announcements } from './announcements.ts';
import type { Operation, Ticket } from './inference.ts';
import { Shard } from './shard.ts';
import type { LaneSpec } from './shard-protocol.ts';
import type { WorkerSpec } from './ports.ts';

const plain: LaneSpec = {
  name: 'm',
  version: '1.0',
  batchSize: 1,
  maxBatchDelayMs: 100,
  maxQueuedJobs: 3,
  maxQueuedBytes: 1000,
  responseTimeoutMs: 5000,
  clientTimeoutMs: 0,
  retryFailedBatches: true,
  useJobTicket: false,
  isContinuous: false,
  isAsync: false,
  maxRequestsPerWorker: 0,
  sequence: null,
};

function setUp(overrides: Partial<LaneSpec> = {}, workers = 1) {
  const clock = new ManualClock();
  const launcher = new ScriptedLauncher();
  const announce = new Announcements();
  const shard = new Shard({ clock, announce, launcher, onEvent: () => {} });
  shard.openLane({ ...plain, ...overrides }, true);
  const start = (id: string): ScriptedWorker => {
    shard.startWorker(plain, { workerId: id } as WorkerSpec);
    launcher.last.events.onLoaded({});
    return launcher.last;
  };
  const started = Array.from({ length: workers }, (_, index) => start(String(9000 + index)));
  const submit = (
    text = 'x',
    operation: Operation = 'predict',
    sequenceId?: string,
  ): { heard: string[]; ticket: Ticket } => {
    const outlet = new RecordingOutlet();
    const body = Buffer.from(text);
    const ticket = shard.submit(
      {
        requestId: text,
        ...(sequenceId === undefined ? {} : { sequenceId }),
        operation,
        model: 'm',
        version: undefined,
        headers: [],
        parts: [{ name: 'body', contentType: undefined, chunks: [body], bytes: body.length }],
      },
      outlet,
    );
    return { heard: outlet.heard, ticket };
  };
  return { clock, shard, launcher, start, submit, worker: started[0]!, workers: started };
}

const codeOf = (code: string) => (error: unknown) => error instanceof Fault && error.code === code;

describe('a lane', () => {
  it('sends a request to an idle worker at once and answers it once', () => {
    const { submit, worker } = setUp();
    const { heard } = submit('a');
    assert.equal(worker.batches.length, 1);
    worker.answer('A');
    assert.deepEqual(heard, ['last:A']);
  });

  it('refuses what does not fit the queue, by count and by bytes', () => {
    const { submit } = setUp();
    submit('running');
    for (const text of ['1', '2', '3']) submit(text);
    assert.throws(() => submit('4'), codeOf('queue_full'));
    const bytes = setUp({ maxQueuedBytes: 10 });
    bytes.submit('running');
    bytes.submit('12345678');
    assert.throws(() => bytes.submit('123'), codeOf('queue_full'));
  });

  it('refuses when it has no worker, and accepts while a worker is loading', () => {
    const none = setUp({}, 0);
    assert.throws(() => none.submit(), codeOf('no_worker'));
    none.shard.startWorker(plain, { workerId: '9000' } as WorkerSpec);
    const { heard } = none.submit();
    assert.deepEqual(heard, []);
    none.launcher.last.events.onLoaded({});
    none.launcher.last.answer('late');
    assert.deepEqual(heard, ['last:late']);
  });

  it('keeps a second batch in flight once batches are known to be short', () => {
    const { submit, worker } = setUp();
    submit('first');
    submit('second');
    assert.equal(worker.batches.length, 1);
    worker.answer();
    submit('third');
    assert.equal(worker.batches.length, 2);
  });

  it('never shows a cancelled or expired request to a worker', () => {
    const { submit, worker, clock } = setUp({ clientTimeoutMs: 50 });
    submit('running');
    const gone = submit('gone');
    const late = submit('late');
    gone.ticket.cancel();
    clock.advance(50);
    worker.answer();
    assert.deepEqual(worker.batches, []);
    assert.deepEqual(gone.heard, []);
    assert.deepEqual(late.heard, ['fail:client_timeout']);
  });

  it('frees the room of a cancelled request at once', () => {
    const { submit } = setUp();
    submit('running');
    const waiting = ['1', '2', '3'].map((text) => submit(text));
    waiting[1]!.ticket.cancel();
    submit('4');
    assert.throws(() => submit('5'), codeOf('queue_full'));
  });

  it('closes a batch when it is full', () => {
    const { submit, worker, clock } = setUp({ batchSize: 2 });
    submit('a');
    submit('b');
    assert.deepEqual(
      worker.batches.map(({ items }) => items.length),
      [2],
    );
    clock.advance(1000);
  });

  it('does not make a lonely client wait for the batch delay', () => {
    const { submit, worker, clock } = setUp({ batchSize: 8, maxBatchDelayMs: 1000 });
    submit('a');
    clock.advance(20);
    assert.equal(worker.batches.length, 1);
    worker.answer();
    submit('b');
    assert.equal(worker.batches.length, 1);
  });

  it('waits for the batch delay, counted from the oldest request, while others are being served', () => {
    const { submit, workers, clock } = setUp({ batchSize: 2, maxBatchDelayMs: 100 }, 2);
    submit('a');
    submit('b');
    submit('c');
    clock.advance(99);
    assert.equal(workers[1]!.batches.length, 0);
    clock.advance(1);
    assert.equal(workers[1]!.batches.length, 1);
  });

  it('puts one operation in a batch', () => {
    const { submit, worker, clock } = setUp({ batchSize: 4, maxQueuedJobs: 9 });
    submit('running');
    clock.advance(10);
    submit('p1');
    submit('p2');
    submit('e1', 'explain');
    worker.answer();
    clock.advance(200);
    assert.deepEqual(worker.batches.map(({ operation, items }) => [operation, items.length])[0], ['predict', 2]);
  });

  it('runs the items of a failed batch once more, one by one', () => {
    const { submit, worker } = setUp({ batchSize: 2 });
    const a = submit('a');
    const b = submit('b');
    worker.fail(new Fault('prediction_failed', 'Prediction failed'));
    worker.answer('A');
    worker.fail(new Fault('prediction_failed', 'Prediction failed'));
    assert.deepEqual(a.heard, ['last:A']);
    assert.deepEqual(b.heard, ['fail:prediction_failed']);
  });

  it('lets a bad item fail alone', () => {
    const { submit, worker } = setUp({ batchSize: 2 });
    const a = submit('a');
    const b = submit('b');
    worker.events.onDone(worker.batches[0]!.id, [new Fault('handler_status', 'bad image'), result('B')]);
    assert.deepEqual([a.heard, b.heard], [['fail:handler_status'], ['last:B']]);
  });

  it('answers the request that a dying worker held, and gives the one behind it to the next worker', () => {
    const { submit, worker, start } = setUp();
    submit('warm');
    worker.answer();
    const front = submit('front');
    const behind = submit('behind');
    assert.equal(worker.batches.length, 2);
    worker.kill({ kind: 'signal', signal: 'SIGSEGV' });
    assert.deepEqual(front.heard, ['fail:worker_died']);
    assert.deepEqual(behind.heard, []);
    start('9000').answer('B');
    assert.deepEqual(behind.heard, ['last:B']);
  });

  it('retries the items of a batch that killed its worker one by one', () => {
    const { submit, worker, start } = setUp({ batchSize: 2 });
    const a = submit('a');
    const b = submit('b');
    worker.kill({ kind: 'signal', signal: 'SIGSEGV' });
    const next = start('9000');
    next.answer('A');
    next.kill({ kind: 'signal', signal: 'SIGSEGV' });
    assert.deepEqual([a.heard, b.heard], [['last:A'], ['fail:worker_died']]);
  });

  it('kills a worker that does not answer in time, and only then', () => {
    const { submit, worker, clock } = setUp();
    const { heard } = submit();
    clock.advance(4999);
    assert.deepEqual(heard, []);
    clock.advance(1);
    assert.deepEqual(heard, ['fail:response_timeout']);
    assert.equal(worker.batches.length, 1);
  });

  it('answers describe jobs behind a hung worker in time, and leaves the others in the queue', () => {
    const { submit, worker, clock } = setUp({ responseTimeoutMs: 5000 });
    submit('hangs');
    clock.advance(100);
    const describing = [submit('', 'describe'), submit('', 'describe')];
    const waiting = submit('waits');
    clock.advance(5000);
    assert.deepEqual(
      describing.map(({ heard }) => heard),
      [['fail:describe_failed'], ['fail:describe_failed']],
    );
    assert.deepEqual(waiting.heard, []);
    assert.equal(worker.batches.length, 1);
  });

  it('counts the response timeout from the last piece of a stream', () => {
    const { submit, worker, clock } = setUp();
    const { heard } = submit();
    clock.advance(4000);
    worker.events.onPiece(worker.batches[0]!.id, 0, replyOf('one'));
    clock.advance(4000);
    worker.answer('two');
    assert.deepEqual(heard, ['piece:one', 'last:two']);
  });

  it('keeps continuous jobs at their worker and lets waiting ones join the next step', () => {
    const { submit, worker } = setUp({ batchSize: 2, isContinuous: true, maxBatchDelayMs: 0 });
    const a = submit('a');
    const b = submit('b');
    worker.events.onDone(worker.batches.shift()!.id, [result('a1', true)]);
    assert.deepEqual(
      worker.batches[0]!.items.map(({ requestId, isCached }) => [requestId, isCached]),
      [
        ['a', true],
        ['b', false],
      ],
    );
    worker.events.onDone(worker.batches.shift()!.id, [result('a2'), result('b1', true)]);
    b.ticket.cancel();
    worker.events.onDone(worker.batches.shift()!.id, [result('b2', true)]);
    assert.deepEqual(a.heard, ['piece:a1', 'last:a2']);
    assert.deepEqual(b.heard, ['piece:b1']);
    assert.deepEqual(worker.batches, []);
  });

  it('accepts with job tickets only while a worker is idle', () => {
    const { submit } = setUp({ useJobTicket: true });
    submit();
    assert.throws(() => submit(), codeOf('queue_full'));
  });

  it('keeps a sequence in order on one worker and refuses one too many', () => {
    const sequence = {
      maxIdleMs: 1000,
      timeoutMs: 0,
      maxSequences: 2,
      maxJobsPerSequence: 2,
      maxPerWorker: 1,
      headers: { id: 'sid', start: 'start', end: 'end' },
    };
    const { submit, workers, clock } = setUp({ sequence, batchSize: 4, maxBatchDelayMs: 0, maxQueuedJobs: 9 }, 2);
    const [first, second] = workers as [ScriptedWorker, ScriptedWorker];
    submit('a1', 'predict', 'a');
    submit('b1', 'predict', 'b');
    submit('a2', 'predict', 'a');
    assert.throws(() => submit('c1', 'predict', 'c'), codeOf('queue_full'));
    assert.deepEqual(
      [first, second].map(({ batches }) => batches[0]!.items[0]!.requestId),
      ['a1', 'b1'],
    );
    first.answer();
    assert.equal(first.batches[0]!.items[0]!.requestId, 'a2');
    first.answer();
    second.answer();
    clock.advance(1000);
    const { heard } = submit('c1');
    assert.match(String(first.batches[0]!.items[0]!.headers), /^sid,ts-seq-[0-9a-f-]{36},start,true$/);
    first.kill({ kind: 'exit', exitCode: 1 });
    assert.deepEqual(heard, ['fail:worker_died']);
  });

  it('bounds the bytes of all its sequences together', () => {
    const sequence = {
      maxIdleMs: 1000,
      timeoutMs: 0,
      maxSequences: 5,
      maxJobsPerSequence: 5,
      maxPerWorker: 5,
      headers: { id: 'sid', start: 'start', end: 'end' },
    };
    const { submit, worker } = setUp({ sequence, maxBatchDelayMs: 0, maxQueuedJobs: 9, maxQueuedBytes: 10 });
    submit('busy', 'predict', 'a');
    submit('123456', 'predict', 'b');
    assert.throws(() => submit('12345', 'predict', 'c'), codeOf('queue_full'));
    submit('1234', 'predict', 'd');
    worker.answer();
    submit('12345', 'predict', 'e');
  });

  it('answers what waits when it is closed, lets what runs finish, and is forgotten with its last worker', async () => {
    const { submit, worker, shard } = setUp();
    const running = submit('running');
    const waiting = submit('waiting');
    shard.closeLane(plain);
    assert.deepEqual(waiting.heard, ['fail:model_not_found']);
    assert.throws(() => submit('new'), codeOf('model_not_found'));
    const stopped = shard.stopWorker(plain, '9000', 1000);
    worker.answer('done');
    await stopped;
    assert.deepEqual(running.heard, ['last:done']);
    assert.equal(worker.stopCalls, 1);
  });

  it('gives back what a stopped worker had not begun to answer, and ends what it had', () => {
    const { submit, workers } = setUp({ batchSize: 2, maxBatchDelayMs: 0 }, 2);
    const [first, second] = workers;
    assert.ok(first && second);
    const running = submit('running');
    const begun = submit('begun');
    const [batch] = first.batches;
    assert.ok(batch);
    second.answer('whole');
    first.events.onPiece(batch.id, 0, replyOf('half'));
    first.kill({ kind: 'stopped' });
    assert.deepEqual(running.heard, ['piece:half', 'fail:worker_died']);
    assert.deepEqual(begun.heard, ['last:whole']);
    const again = submit('again');
    second.kill({ kind: 'stopped' });
    assert.deepEqual(again.heard, []);
  });
});
