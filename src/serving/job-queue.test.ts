import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { RecordingOutlet } from '../../test/support/scripted-worker.ts';
import { Job } from './job.ts';
import { JobQueue } from './job-queue.ts';

const job = (): Job =>
  new Job(
    { requestId: 'r', operation: 'predict', model: 'm', version: undefined, headers: [], parts: [] },
    new RecordingOutlet(),
    0,
  );

describe('the queue of a lane', () => {
  it('lets go of requests whose clients left while every worker was busy', async () => {
    const queue = new JobQueue({ maxJobs: 10, maxBytes: 1000 });
    const waiting = job();
    queue.offer(waiting);
    const held: WeakRef<Job>[] = [];
    for (let at = 0; at < 1000; at += 1) {
      const leaving = job();
      queue.offer(leaving);
      leaving.abandon();
      queue.forget(leaving);
      held.push(new WeakRef(leaving));
    }
    const last = job();
    queue.offer(last);
    // A weak reference holds its target until the turn ends in which it was made.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    assert.ok(held.filter((reference) => reference.deref() !== undefined).length < 200);
    assert.deepEqual(queue.take(10), [waiting, last]);
    assert.equal(queue.peek(), undefined);
  });
});

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
