import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { defaultLimits, underCeiling, type WorkerLimits } from './isolation.ts';

const GiB = 1024 ** 3;
const CEILING = defaultLimits({ memoryBytes: 64 * GiB, artifactBytes: 0, threads: 2 });

describe('limits of a worker', () => {
  test('leave a small model four gigabytes, and a large one four times its size', () => {
    assert.equal(CEILING.memoryBytes, 4 * GiB);
    assert.equal(defaultLimits({ memoryBytes: 64 * GiB, artifactBytes: 5 * GiB, threads: 2 }).memoryBytes, 20 * GiB);
  });

  test('never give one worker the whole machine', () => {
    assert.equal(
      defaultLimits({ memoryBytes: 4 * GiB, artifactBytes: 9 * GiB, threads: 1 }).memoryBytes,
      Math.floor(3.2 * GiB),
    );
  });

  test('are lowered by a model that asks for less', () => {
    assert.equal(underCeiling(CEILING, { memoryBytes: GiB }).memoryBytes, GiB);
    assert.equal(underCeiling(CEILING, { cpus: 0.5 }).cpus, 0.5);
  });

  test('are never raised by anything an archive can say', () => {
    const wish = fc.oneof(fc.double(), fc.integer(), fc.string(), fc.constant(null), fc.constant(Infinity));
    const names = Object.keys(CEILING) as (keyof WorkerLimits)[];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), wish), (asked) => {
        const limits = underCeiling({ ...CEILING, cpus: 2 }, asked);
        for (const name of names) {
          const limit = limits[name] ?? 0;
          assert.ok(limit > 0 && limit <= ({ ...CEILING, cpus: 2 }[name] ?? 0), `${name} ${limit}`);
        }
      }),
    );
  });
});
