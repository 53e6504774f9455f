import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault, Secret } from '../kernel/index.ts';
import { resolveScanners, scannerList } from './scanners.ts';
import type { ScannerSettings } from './settings.ts';

const SITE = { key: 'scanners', origin: { source: 'file', where: 'f:1' }, cwd: '/', warn: () => {} } as const;
const NO_SECRETS = { virusTotalKey: undefined, httpToken: undefined };
const parse = (list: unknown, secrets = NO_SECRETS as Parameters<typeof resolveScanners>[2]) =>
  resolveScanners(scannerList.parse(JSON.stringify(list), SITE), 'scanners at f:1', secrets);
const isRefusal = (thrown: unknown): boolean =>
  thrown instanceof Fault && thrown.code === 'invalid_configuration' && thrown.message.startsWith('scanners at f:1');

test('a scanner is required, has a minute for a file and looks at every file unless told otherwise', () => {
  const [clamd] = parse([{ kind: 'clamd', socket: '/run/clamd' }]) as readonly [ScannerSettings];
  assert.deepEqual(clamd, {
    kind: 'clamd',
    name: 'clamd',
    isRequired: true,
    timeoutMs: 60_000,
    only: undefined,
    skip: [],
    allowsUnknown: false,
    maxBytes: 104_857_600,
    address: { path: '/run/clamd' },
  });
});

test('every kind is understood, and secrets come from keys of their own', () => {
  const list = [
    { kind: 'clamd', port: 3310 },
    { kind: 'virustotal', mode: 'advisory', unknown: 'allow', endpoint: 'https://mirror.test/v3' },
    {
      kind: 'executable',
      name: 'fickling',
      argv: ['/opt/f', '{file}'],
      field: 'severity',
      clean: 'LIKELY_SAFE',
      only: ['pt'],
    },
    { kind: 'http', url: 'https://scan.test/', timeoutSec: 0.5 },
  ];
  const scanners = parse(list, { virusTotalKey: new Secret('k'), httpToken: new Secret('t') });
  assert.deepEqual(
    scanners.map(({ name, isRequired, timeoutMs }) => [name, isRequired, timeoutMs]),
    [
      ['clamd', true, 60_000],
      ['virustotal', false, 60_000],
      ['fickling', true, 60_000],
      ['http', true, 500],
    ],
  );
  assert.ok(!JSON.stringify(scanners).includes('"k"'));
  assert.ok(
    scanners.some((scanner) => scanner.kind === 'virustotal' && scanner.endpoint === 'https://mirror.test/v3/'),
  );
});

test('what is not understood stops the start instead of switching a scanner off', () => {
  const lists: readonly unknown[] = [
    {},
    [{}],
    [{ kind: 'clamav', socket: '/x' }],
    [{ kind: 'clamd' }],
    [{ kind: 'clamd', socket: '/x', port: 1 }],
    [{ kind: 'clamd', socket: 'relative' }],
    [{ kind: 'clamd', socket: '/x', mode: 'optional' }],
    [{ kind: 'clamd', socket: '/x', timeout: 5 }],
    [{ kind: 'clamd', socket: '/x', timeoutSec: 0 }],
    [{ kind: 'clamd', socket: '/x', skip: ['.pt'] }],
    [
      { kind: 'clamd', socket: '/x' },
      { kind: 'clamd', port: 1 },
    ],
    [{ kind: 'virustotal' }],
    [{ kind: 'executable', argv: ['fickling', '{file}'] }],
    [{ kind: 'executable', argv: ['/bin/true'] }],
    [{ kind: 'executable', argv: [] }],
    [{ kind: 'http', url: 'file:///etc/passwd' }],
    [{ kind: 'http', url: 'nowhere' }],
    [{ kind: 'http', url: 'https://user:password@scan.test/' }],
  ];
  for (const list of lists) assert.throws(() => parse(list), isRefusal, JSON.stringify(list));
  assert.throws(() => scannerList.parse('clamd', SITE), isRefusal);
});
