import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { KEY_NAMES, KEYS } from './keys/index.ts';
import { loadSettings } from './load.ts';
import { parseProperties } from './properties.ts';
import type { EffectiveValue } from './settings.ts';
import { renderSnapshot, snapshotName, snapshotNames, type SnapshotModel } from './snapshot.ts';

const facts = { cwd: '/srv', tempDir: '/tmp', stateHome: '/state', pathExists: () => true };
const digits: SnapshotModel = {
  name: 'digits',
  version: '1.0',
  isDefaultVersion: true,
  marName: 'digits.mar',
  minWorkers: 0,
  maxWorkers: 2,
  batchSize: 4,
  maxBatchDelayMs: 50,
  responseTimeoutSec: 7,
  startupTimeoutSec: 9,
  runtimeType: 'python',
  parallelLevel: 0,
};
const valuesOf = (text: string): readonly EffectiveValue[] =>
  loadSettings({ file: { name: 'config.properties', text }, env: {} }, facts).effective();
const render = (text: string, models: readonly SnapshotModel[] = []): string =>
  renderSnapshot({ name: 'x.cfg', createdAt: 5, values: valuesOf(text), models });

describe('a snapshot', () => {
  test('holds what was set, and is read back as the same settings and models', () => {
    const text = render('job_queue_size=7\nload_models=all\n', [digits]);
    const settings = loadSettings({ snapshot: { name: 'x.cfg', text }, env: {} }, facts);
    assert.equal(settings.queue.maxJobs, 7);
    assert.deepEqual(settings.models.startup, {
      kind: 'snapshot',
      models: [
        {
          name: 'digits',
          version: '1.0',
          location: 'digits.mar',
          isDefaultVersion: true,
          defaults: {
            minWorkers: 0,
            maxWorkers: 2,
            batchSize: 4,
            maxBatchDelayMs: 50,
            responseTimeoutSec: 7,
            startupTimeoutSec: 9,
            runtimeType: 'python',
            parallelLevel: undefined,
          },
        },
      ],
    });
    assert.deepEqual(settings.notices, []);
  });

  test('never holds a security key or a secret, whoever set it', () => {
    const security = KEY_NAMES.filter((key) => KEYS[key].isSecurity);
    const values = KEY_NAMES.map((key): EffectiveValue => {
      const { isSecurity, isSecret } = KEYS[key];
      return { key, value: 'hunter2', origin: { source: 'flag', where: '' }, isSecurity, isSecret };
    });
    const text = renderSnapshot({ name: 'x.cfg', createdAt: 5, values, models: [] });
    const written = new Set(parseProperties(text, 'x.cfg').map(({ key }) => key));
    assert.deepEqual(
      security.filter((key) => written.has(key)),
      [],
    );
    assert.ok(written.has('job_queue_size'));
  });

  test('leaves defaults out', () => {
    assert.deepEqual(
      parseProperties(render(''), 'x.cfg').map(({ key }) => key),
      ['model_snapshot'],
    );
  });

  test('keeps any text of names and values', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), (word) => {
        const value: EffectiveValue = {
          key: 'load_models',
          value: word,
          origin: { source: 'flag', where: '' },
          isSecurity: false,
          isSecret: false,
        };
        const model = { ...digits, name: word, marName: word };
        const text = renderSnapshot({ name: 'x.cfg', createdAt: 5, values: [value], models: [model] });
        const [first, second] = parseProperties(Buffer.from(text, 'latin1').toString('latin1'), 'x.cfg');
        assert.equal(first?.value, word);
        const json = JSON.parse(second?.value ?? '') as { models: Record<string, Record<string, { marName: string }>> };
        assert.equal(json.models[word]?.['1.0']?.marName, word);
      }),
      { numRuns: 100 },
    );
  });
});

describe('names of snapshots', () => {
  const noon = new Date(2026, 0, 2, 12, 0, 0, 7);

  test('are their local time and their occasion', () => {
    assert.equal(snapshotName('startup', noon, undefined), '20260102120000007-startup.cfg');
  });

  test('sort behind every earlier one, even when the clock went back', () => {
    const newest = '20260102130000000-startup.cfg';
    const name = snapshotName('shutdown', noon, newest);
    assert.deepEqual(snapshotNames([name, newest, 'other.cfg']), [newest, name]);
  });
});

test('a file that a snapshot outvotes is named with its keys, and so are models asked for in vain', () => {
  const snapshot = { name: 's.cfg', text: render('job_queue_size=7', [digits]) };
  const file = { name: 'config.properties', text: 'job_queue_size=8\nmodel_store=/m\n' };
  const flags = new Map([['load_models', { flag: '--models', text: 'a.mar' }] as const]);
  const settings = loadSettings({ file, snapshot, flags, env: {} }, facts);
  assert.equal(settings.queue.maxJobs, 7);
  assert.equal(settings.notices.length, 2);
  assert.match(settings.notices[0] ?? '', /s\.cfg .* config\.properties, for job_queue_size;.*--no-config-snapshots/);
  assert.match(settings.notices[1] ?? '', /^--models is ignored: .*s\.cfg/);
});
