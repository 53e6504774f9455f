import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../kernel/index.ts';
import { replyOf } from '../../test/support/scripted-worker.ts';
import type { InferenceRequest, Outlet } from './inference.ts';
import { Job } from './job.ts';

const request: InferenceRequest = {
  requestId: 'r',
  operation: 'predict',
  model: 'm',
  version: undefined,
  headers: [],
  parts: [],
};

function jobOf(outlet: Outlet): Job {
  return new Job(request, outlet, 0);
}

test('a door that cannot write an answer hears why', () => {
  const faults: Fault[] = [];
  const job = jobOf({
    send() {
      throw new TypeError('no such header');
    },
    fail: (fault) => void faults.push(fault),
  });
  assert.ok(job.answer(replyOf('x')));
  assert.deepEqual(
    faults.map(({ code }) => code),
    ['internal'],
  );
});

test('a door that can say nothing at all costs nobody else anything', () => {
  const broken = (): never => {
    throw new Error('broken');
  };
  for (const end of [(job: Job) => job.answer(replyOf('x')), (job: Job) => job.fail(new Fault('internal', ''))]) {
    const job = jobOf({ send: broken, fail: broken });
    assert.ok(end(job));
    assert.ok(job.hasEnded);
  }
});
