import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { MAX_CONFIG_BYTES, parseModelConfig } from './index.ts';

function parse(text: string) {
  const parsed = parseModelConfig(Buffer.from(text), 'model-config.yaml');
  assert.ok('config' in parsed, 'the config should parse');
  return { ...parsed, config: { ...parsed.config } };
}

const fails = (text: string): boolean => 'failed' in parseModelConfig(Buffer.from(text), 'c.yaml');

test('the serving keys are read, and everything else stays for the handler', () => {
  const { config, raw, warnings } = parse(`
minWorkers: 1
maxWorkers: 2
batchSize: 8
maxBatchDelay: 50
deviceType: GPU
deviceIds: [0, 1]
parallelType: tp
useJobTicket: true
handler: {profile: true, name: [a, b]}
`);
  assert.deepEqual(warnings, []);
  const { minWorkers, maxWorkers, batchSize, deviceType, deviceIds, useJobTicket } = config;
  assert.deepEqual([minWorkers, maxWorkers, batchSize, deviceType, useJobTicket], [1, 2, 8, 'gpu', true]);
  assert.deepEqual(deviceIds, [0, 1]);
  assert.equal(JSON.stringify(raw['handler']), '{"profile":true,"name":["a","b"]}');
});

test('a value of the wrong type or range is named, explained and ignored', () => {
  const wrong = [
    'maxWorkers: "4"',
    'maxWorkers: -1',
    'minWorkers: 1.5',
    'batchSize: 0',
    'responseTimeout: 0',
    'responseTimeout: 9223372036854775808',
    'jobQueueSize: 2147483648',
    'deviceType: neuron',
    'deviceIds: [0, -1]',
    'deviceIds: 0',
    'parallelType: xx',
    'useVenv: "true"',
    'torchrun: 4',
    'asyncCommunication: 1',
    'maxBatchDelay: [1]',
  ];
  for (const line of wrong) {
    const { config, warnings } = parse(line);
    assert.deepEqual(Object.keys(config), [], line);
    assert.equal(warnings.length, 1, line);
    assert.match(warnings[0]!, new RegExp(`^Invalid ${line.split(':')[0]}: .*, should be `));
  }
});

test('workers below one are raised to one, as the reference does', () => {
  assert.equal(parse('minWorkers: -1').config.minWorkers, 1);
});

test('torchrun sets the parallel level and names what it does not support', () => {
  const { config, warnings } = parse('torchrun:\n  nproc-per-node: 4\n  master-addr: 10.0.0.1\n');
  assert.equal(config.parallelLevel, 4);
  assert.equal(warnings.length, 1);
});

test('a config of very many keys is read soon, and warned of a few times only', () => {
  const lines = Array.from({ length: 30_000 }, (_, at) => ` a${at}: 1\n`).join('');
  const startedAt = performance.now();
  assert.equal(parse(`torchrun:\n${lines}`).warnings.length, 16);
  assert.ok(performance.now() - startedAt < 15_000);
});

test('text that is no config is skipped with a warning', () => {
  for (const text of [
    'a: [',
    '- a\n- b',
    'just text',
    'a: 1\na: 2',
    'x: [{b: {c: 1, "c": 2}}]',
    '\t- x: [',
    '%YAML 9\n@',
  ])
    assert.ok(fails(text), text);
  assert.deepEqual(Object.keys(parse('').raw), []);
});

test('aliases that multiply, endless nesting and cycles cannot be parsed', () => {
  const laughs = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let i = 1; i < 9; i += 1)
    laughs.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(', ')}]`);
  assert.ok(fails(laughs.join('\n')));
  assert.ok(fails(`a: ${'['.repeat(20_000)}`));
  assert.ok(fails(`a: ${'['.repeat(100)}${']'.repeat(100)}`));
  assert.ok(fails('a: &x [*x]'));
});

test('an oversized config is refused', () => {
  const tooLarge = Buffer.alloc(MAX_CONFIG_BYTES + 1, ' ');
  assert.throws(
    () => parseModelConfig(tooLarge, 'c'),
    (thrown) => thrown instanceof Fault && thrown.code === 'invalid_model',
  );
});

test('keys that name prototypes stay data', () => {
  const { raw } = parse('__proto__: {polluted: 1}\nconstructor: {x: 1}');
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  assert.deepEqual(Object.keys(raw), ['__proto__', 'constructor']);
});

test('any text is parsed or skipped, and what is parsed survives JSON', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'a1:-[]{}&*!|>#"\'\n \t,?') }), (text) => {
      const parsed = parseModelConfig(Buffer.from(text), 'c.yaml');
      if ('raw' in parsed)
        assert.equal(JSON.stringify(JSON.parse(JSON.stringify(parsed.raw))), JSON.stringify(parsed.raw));
    }),
    { numRuns: 300 },
  );
});

test('scalars mean what PyYAML and SnakeYAML read: YAML 1.1', () => {
  const text =
    'a: yes\nb: Off\nc: 010\nd: 0x1F\ne: 1e-5\nf: 1_000\ng: 1.5e+3\nh: 2024-01-01\ni: !!binary aGk=\n' +
    'j: "yes"\nbase: &b {x: 1}\nk:\n  <<: *b\n  y: 2\nl: y\nm: N\nn: 0o17\no: ~\np: !!set {a, b}\n';
  const parsed = parseModelConfig(Buffer.from(text), 'c.yaml');
  assert.ok('raw' in parsed);
  assert.deepEqual(JSON.parse(JSON.stringify(parsed.raw)), {
    a: true,
    b: false,
    c: 8,
    d: 31,
    e: '1e-5',
    f: 1000,
    g: 1500,
    h: '2024-01-01',
    i: 'aGk=',
    j: 'yes',
    base: { x: 1 },
    k: { x: 1, y: 2 },
    l: 'y',
    m: 'N',
    n: '0o17',
    o: null,
    p: { a: null, b: null },
  });
});
