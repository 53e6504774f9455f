import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { parseLoadModels, parseModelDefaults, parseSnapshotModels } from './startup-models.ts';

describe('load_models', () => {
  test('splits at commas and the first =, trims nothing, skips empty entries', () => {
    assert.deepEqual(parseLoadModels('a.mar,,n=b.mar?x=1, c.mar'), {
      kind: 'list',
      models: [
        { name: undefined, location: 'a.mar' },
        { name: 'n', location: 'b.mar?x=1' },
        { name: undefined, location: ' c.mar' },
      ],
    });
  });

  test('all means all in any case, nothing means nothing', () => {
    assert.deepEqual(parseLoadModels('ALL'), { kind: 'all' });
    assert.deepEqual(parseLoadModels(undefined), { kind: 'list', models: [] });
    assert.deepEqual(parseLoadModels(''), { kind: 'list', models: [] });
  });
});

describe('models JSON', () => {
  test('is looked up by name and version; values of 0 or less count as not given', () => {
    const defaults = parseModelDefaults('{"m":{"1.0":{"minWorkers":2,"batchSize":0,"maxBatchDelay":"50"}}}', 'models');
    const entry = defaults.get('m')?.get('1.0');
    assert.equal(entry?.minWorkers, 2);
    assert.equal(entry?.batchSize, undefined);
    assert.equal(entry?.maxBatchDelayMs, 50);
  });

  test('is refused with its place when it is not understood', () => {
    for (const text of ['{', '[]', '{"m":{"1":{"minWorkers":"many"}}}', '{"m":{"1":{"minWorkers":1.5}}}', '3']) {
      assert.throws(
        () => parseModelDefaults(text, 'models at f:3'),
        (fault: unknown) =>
          fault instanceof Fault && fault.code === 'invalid_configuration' && fault.message.startsWith('models at f:3'),
      );
    }
  });

  test('any JSON is read or refused', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        try {
          assert.ok(parseModelDefaults(text, 'models') instanceof Map);
        } catch (error) {
          assert.ok(error instanceof Fault);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('model_snapshot', () => {
  test('lists each version with the file it came from, and remembers a model scaled to nothing', () => {
    const text =
      '{"name":"x","modelCount":1,"models":{"m":{"1.0":{"defaultVersion":true,"marName":"m.mar","minWorkers":0,"maxWorkers":0}}}}';
    const startup = parseSnapshotModels(text, 'model_snapshot');
    assert.ok(startup.kind === 'snapshot');
    const [model] = startup.models;
    assert.equal(model?.location, 'm.mar');
    assert.equal(model?.isDefaultVersion, true);
    assert.equal(model?.defaults?.minWorkers, 0);
    assert.equal(model?.defaults?.responseTimeoutSec, 120);
    assert.equal(model?.defaults?.runtimeType, 'python');
  });

  test('without models it is empty; without a marName it is refused', () => {
    assert.deepEqual(parseSnapshotModels('{}', 'model_snapshot'), { kind: 'snapshot', models: [] });
    assert.throws(() => parseSnapshotModels('{"models":{"m":{"1":{}}}}', 'model_snapshot'), Fault);
  });
});
