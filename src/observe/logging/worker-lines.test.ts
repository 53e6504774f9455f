import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeathCause } from '../../serving/index.ts';
import { clockAt } from '../../../test/support/manual-clock.ts';
import { WorkerLines } from './worker-lines.ts';

test('only with a version is every failure of a worker, and no ordered stop, a telemetry line', () => {
  const telemetry = (cause: DeathCause, version?: string): readonly string[] =>
    new WorkerLines(clockAt(0), version)
      .linesFor({ workerId: '9000', model: 'm', version: '1.0', event: { kind: 'died', cause } })
      .filter(({ logger }) => logger === 'TELEMETRY_METRICS')
      .map(({ message }) => message);
  assert.deepEqual(telemetry({ kind: 'startup_timeout', afterMs: 1 }, '0.12.0'), [
    'ModelServerError.Count:1|#TorchServe:0.12.0,org.pytorch.serve.wlm.WorkerInitializationException:-1',
  ]);
  assert.deepEqual(telemetry({ kind: 'exit', exitCode: 1 }, '0.12.0'), [
    'ModelServerError.Count:1|#TorchServe:0.12.0,java.lang.InterruptedException:-1',
  ]);
  assert.deepEqual(telemetry({ kind: 'stopped' }, '0.12.0'), []);
  assert.deepEqual(telemetry({ kind: 'exit', exitCode: 1 }), []);
});
