import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Fault } from '../../kernel/index.ts';
import type { Cage } from './contract.ts';
import { adviceFor, describeIsolation } from './describe.ts';
import { assertContained, type ProbeReport } from './probes.ts';

const BLOCKED = { id: 'F01', title: 'read the accounts of the host', evidence: null };
const HIT = { id: 'N01', title: 'connect to the server on loopback', evidence: '"127.0.0.1"' };
const REPORT: ProbeReport = { level: 'strict', runtime: 'python', blocked: [BLOCKED], hits: [HIT], tookMs: 1 };

describe('a probe that got through', () => {
  test('stops the start, and is named', () => {
    assert.throws(
      () => assertContained(REPORT),
      (thrown) => thrown instanceof Fault && thrown.code === 'invalid_configuration' && thrown.message.includes('N01'),
    );
  });

  test('is what the operator chose at level none', () => {
    assertContained({ ...REPORT, level: 'none' });
  });

  test('comes with advice, whichever wall it went through', () => {
    for (const level of ['strict', 'process'] as const) {
      for (const id of ['F01', 'F19', 'P04', 'P25', 'N01', 'K05', 'R01', 'R04']) {
        assert.ok(adviceFor(id, level).length > 20, id);
      }
    }
    assert.notEqual(adviceFor('F01', 'strict'), adviceFor('F01', 'process'));
  });
});

test('the description of isolation counts probes, and keeps what they got hold of to itself', () => {
  const limits = { memory: 'rlimit', tasks: 'rlimit', cpu: 'none', files: 'rlimit', tmp: 'none' };
  const cage: Cage = {
    plan: { level: 'strict', mechanism: ['bubblewrap'], limits, degraded: [] },
    wrap: () => Promise.reject(new Error('not asked for')),
  };
  const described = describeIsolation(cage, REPORT);
  assert.deepEqual(described.probes, { run: 2, blocked: 1, hits: [{ id: HIT.id, title: HIT.title }] });
  assert.ok(!JSON.stringify(described).includes('127.0.0.1'));
  assert.equal(describeIsolation(cage, null).probes, null);
});
