import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { backOffSeconds } from './back-off.ts';
import { batchClosesInMs } from './batch-policy.ts';
import { parseModelName, parseModelVersion } from './names.ts';
import { planServing, type OperatorDefaults } from './serving-plan.ts';
import { initialWorkerState, isWorkerHealthy, nextWorkerState, type WorkerState } from './worker-state.ts';

const operator: OperatorDefaults = {
  initialWorkers: 0,
  responseTimeoutSec: 60,
  startupTimeoutSec: 70,
  jobQueueSize: 100,
  maxQueuedBytes: 1000,
  maxWorkersPerModel: 4,
};

describe('names', () => {
  it('may hold what the archiver allows and nothing that could reach a path, a line or a label', () => {
    for (const good of ['resnet-18', 'a', 'A_b.c-1', '0']) assert.equal(parseModelName(good), good);
    for (const bad of ['', '.', '..', '-a', '_a', 'a/b', 'a b', 'a\n', 'ä', 'a'.repeat(129)]) {
      assert.throws(() => parseModelName(bad), Fault, JSON.stringify(bad));
    }
    assert.throws(() => parseModelVersion('all'), Fault);
    assert.equal(parseModelVersion('1.0+cpu'), '1.0+cpu');
  });
});

describe('a worker’s life', () => {
  const died = (state: WorkerState, nowMs: number): WorkerState =>
    nextWorkerState(state, { kind: 'died', nowMs, maxRetryMs: 300_000 });

  it('is retried after 1, 1, 2, 3, 5, 8 … seconds, the last of them for ever', () => {
    assert.deepEqual([0, 1, 2, 3, 4, 5, 16, 99].map(backOffSeconds), [1, 1, 2, 3, 5, 8, 1597, 1597]);
  });

  it('counts an outage from the first death until a load succeeds', () => {
    let state = died(initialWorkerState, 1000);
    assert.deepEqual(state, { kind: 'waiting', outage: { sinceMs: 1000, attempts: 1 }, retryInSeconds: 1 });
    state = died(nextWorkerState(state, { kind: 'retry' }), 300_999);
    assert.equal(state.kind, 'waiting');
    state = died(nextWorkerState(state, { kind: 'retry' }), 301_000);
    assert.equal(state.kind, 'failed');
    assert.deepEqual(nextWorkerState(state, { kind: 'loaded' }), { kind: 'ready' });
  });

  it('is not retried at all when the archive says so', () => {
    assert.equal(nextWorkerState({ kind: 'ready' }, { kind: 'died', nowMs: 5, maxRetryMs: 0 }).kind, 'failed');
  });

  it('does not come back from being stopped', () => {
    assert.equal(died({ kind: 'stopping' }, 1).kind, 'stopping');
  });

  it('is healthy while it loads, and until retries end', () => {
    const waiting: WorkerState = { kind: 'waiting', outage: { sinceMs: 0, attempts: 3 }, retryInSeconds: 2 };
    assert.equal(isWorkerHealthy(initialWorkerState, 1e9, 300_000), true);
    assert.equal(isWorkerHealthy(waiting, 299_999, 300_000), true);
    assert.equal(isWorkerHealthy(waiting, 300_000, 300_000), false);
  });
});

describe('batching', () => {
  const question = {
    batchSize: 4,
    maxBatchDelayMs: 100,
    waiting: 1,
    oldestWaitedMs: 0,
    newestWaitedMs: 0,
    inFlight: 0,
    hasCompany: true,
  };

  it('closes a full batch at once, and never waits with a batch size of one or no delay', () => {
    assert.equal(batchClosesInMs({ ...question, waiting: 4 }), 0);
    assert.equal(batchClosesInMs({ ...question, batchSize: 1 }), 0);
    assert.equal(batchClosesInMs({ ...question, maxBatchDelayMs: 0 }), 0);
  });

  it('gives a burst a moment and other clients the whole delay', () => {
    assert.equal(batchClosesInMs(question), 2);
    assert.equal(batchClosesInMs({ ...question, inFlight: 1, oldestWaitedMs: 30 }), 70);
  });

  it('never makes a lonely client wait', () => {
    assert.equal(batchClosesInMs({ ...question, hasCompany: false }), 0);
  });

  it('never waits longer than the delay of the oldest', () => {
    const times = fc.nat(5000);
    fc.assert(
      fc.property(times, times, fc.integer({ min: 1, max: 64 }), fc.nat(64), (delay, waited, batchSize, inFlight) => {
        const closes = batchClosesInMs({
          ...question,
          batchSize,
          maxBatchDelayMs: delay,
          oldestWaitedMs: waited,
          inFlight,
        });
        assert.ok(closes >= 0 && closes <= Math.max(0, delay - waited));
      }),
    );
  });
});

describe('a serving plan', () => {
  it('lets explicit batch parameters win over YAML, and YAML over the models JSON', () => {
    const plan = planServing(
      { batchSize: 4, maxBatchDelay: 50 },
      { batchSize: 2 },
      { batchSize: 8, maxBatchDelayMs: 9 },
      operator,
    );
    assert.deepEqual([plan.batchSize, plan.maxBatchDelayMs], [2, 50]);
    assert.equal(planServing(null, {}, { batchSize: 8 }, operator).batchSize, 8);
    assert.equal(planServing(null, {}, {}, operator).maxBatchDelayMs, 100);
  });

  it('serves one by one where a batch would hold nothing', () => {
    const plan = planServing(null, { batchSize: -5 }, {}, operator);
    assert.deepEqual([plan.batchSize, plan.reductions], [1, ['batchSize -5 raised to 1']]);
  });

  it('lets any YAML pin the timeouts, its own or 120 seconds', () => {
    const request = { responseTimeoutSec: 5, startupTimeoutSec: 6 };
    const yaml = planServing({ responseTimeout: 30 }, request, {}, operator);
    assert.deepEqual([yaml.responseTimeoutSec, yaml.startupTimeoutSec], [30, 120]);
    const plain = planServing(null, request, { startupTimeoutSec: 9 }, operator);
    assert.deepEqual([plain.responseTimeoutSec, plain.startupTimeoutSec], [5, 9]);
    assert.equal(planServing(null, {}, {}, operator).responseTimeoutSec, 60);
  });

  it('takes a valid pair of worker counts from the YAML, whatever the request says', () => {
    const pair = planServing({ minWorkers: 2, maxWorkers: 3 }, { initialWorkers: 0 }, {}, operator);
    assert.deepEqual([pair.minWorkers, pair.maxWorkers], [2, 3]);
    const invalid = planServing({ minWorkers: 3, maxWorkers: 2 }, { initialWorkers: 1 }, {}, operator);
    assert.deepEqual([invalid.minWorkers, invalid.maxWorkers], [1, 1]);
  });

  it('never grants an archive more than the operator allows, and says what it cut', () => {
    const plan = planServing({ minWorkers: 1_000_000, maxWorkers: 1_000_000, jobQueueSize: 2 ** 31 }, {}, {}, operator);
    assert.deepEqual([plan.minWorkers, plan.maxWorkers], [4, 4]);
    assert.equal(plan.reductions.length, 2);
    const slow = planServing(
      { responseTimeout: 1_000_000, startupTimeout: 5 },
      {},
      {},
      { ...operator, maxTimeoutSec: 30 },
    );
    assert.deepEqual([slow.responseTimeoutSec, slow.startupTimeoutSec, slow.reductions.length], [30, 5, 1]);
  });
});
