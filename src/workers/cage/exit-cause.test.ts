import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { exitCause } from './exit-cause.ts';

const NOTHING = { oomKills: 0, excess: null };

describe('the cause of a death', () => {
  test('is out of memory when the kernel killed for want of it', () => {
    assert.deepEqual(exitCause(null, 'SIGKILL', { oomKills: 1, excess: null }), { kind: 'out_of_memory' });
    assert.deepEqual(exitCause(137, null, { oomKills: 1, excess: null }), { kind: 'out_of_memory' });
    assert.deepEqual(exitCause(null, 'SIGKILL', { oomKills: 0, excess: 'memory' }), { kind: 'out_of_memory' });
  });

  test('is the crash itself when only a child was killed for want of memory', () => {
    assert.deepEqual(exitCause(null, 'SIGSEGV', { oomKills: 1, excess: null }), { kind: 'signal', signal: 'SIGSEGV' });
    assert.deepEqual(exitCause(3, null, { oomKills: 1, excess: null }), { kind: 'exit', exitCode: 3 });
  });

  test('is the signal, reported by the kernel or by bubblewrap as a status', () => {
    assert.deepEqual(exitCause(null, 'SIGABRT', NOTHING), { kind: 'signal', signal: 'SIGABRT' });
    assert.deepEqual(exitCause(139, null, NOTHING), { kind: 'signal', signal: 'SIGSEGV' });
  });

  test('names the limit that the watch saw exceeded', () => {
    for (const limit of ['tasks', 'tmp'] as const) {
      assert.deepEqual(exitCause(null, 'SIGKILL', { oomKills: 0, excess: limit }), { kind: 'over_limit', limit });
    }
  });

  test('is a plain exit otherwise', () => {
    assert.deepEqual(exitCause(0, null, NOTHING), { kind: 'exit', exitCode: 0 });
    assert.deepEqual(exitCause(1, null, NOTHING), { kind: 'exit', exitCode: 1 });
  });
});
