import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import * as fc from 'fast-check';
import { Secret } from '../../kernel/index.ts';
import { storedFile, type StoredFile } from '../models/quarantine.ts';
import { createExecutableScanner } from './executable.ts';
import { createHttpScanner } from './http.ts';
import { parseVerdict } from './json-verdict.ts';
import type { Scanner } from './scanner.ts';
import { createVirusTotal, parseReport } from './virustotal.ts';

const VERDICT = { field: 'verdict', clean: 'clean' };
const CONTENT = Buffer.alloc(3_000_000, 'weights');
const HASH = createHash('sha256').update(CONTENT).digest('hex');
const soon = (): AbortSignal => AbortSignal.timeout(10_000);

async function withFile(work: (file: StoredFile, dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'davy-scanner-'));
  try {
    await writeFile(join(dir, 'w.bin'), CONTENT);
    await work(storedFile('sub/w.bin', join(dir, 'w.bin'), CONTENT.length), dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function withServer(listener: RequestListener, work: (origin: string) => Promise<void>): Promise<void> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('a program that can be run and a service that can be reached are ready', async () => {
  await withFile(async ({ path }) => {
    await assert.rejects(createExecutableScanner({ argv: [path], ...VERDICT }).greet(soon()), { code: 'EACCES' });
    await chmod(path, 0o700);
    assert.equal(await createExecutableScanner({ argv: [path], ...VERDICT }).greet(soon()), path);
  });
  let origin = '';
  const service = (): Scanner => createHttpScanner({ url: new URL(`${origin}/scan`), token: undefined, ...VERDICT });
  const virusTotal = (): Scanner =>
    createVirusTotal({ apiKey: new Secret('k'), endpoint: new URL(`${origin}/api/`), minDetections: 1 });
  await withServer(
    () => assert.fail('nothing is asked'),
    async (where) => {
      origin = where;
      assert.equal(await service().greet(soon()), where);
      assert.equal(await virusTotal().greet(soon()), where);
    },
  );
  for (const one of [service(), virusTotal()]) await assert.rejects(one.greet(soon()), { code: 'ECONNREFUSED' });
});

test('a verdict is one JSON object with the word in its own member', () => {
  assert.equal(parseVerdict('{"verdict":"clean"}', VERDICT).kind, 'clean');
  assert.equal(parseVerdict('{"severity":"LIKELY_SAFE"}', { field: 'severity', clean: 'LIKELY_SAFE' }).kind, 'clean');
  assert.deepEqual(parseVerdict('{"verdict":"Clean"}', VERDICT), { kind: 'malicious', what: 'Clean' });
  const unclear = [
    '',
    'clean',
    '"clean"',
    '[]',
    'null',
    '{}',
    '{"verdict":true}',
    '{"verdict":""}',
    '{"verdict":["clean"]}',
    '{"verdict":"clean"}{}',
  ];
  for (const text of unclear) assert.equal(parseVerdict(text, VERDICT).kind, 'unanswered', text);
  for (const field of ['constructor', '__proto__', 'toString'])
    assert.equal(parseVerdict('{}', { field, clean: 'x' }).kind, 'unanswered', field);
  fc.assert(fc.property(fc.json(), (text) => assert.notEqual(parseVerdict(text, VERDICT).kind, 'clean')));
});

test('a program gets the path as one argument, no shell and no environment', () =>
  withFile(async (file, dir) => {
    const run = async (script: string, args: readonly string[] = ['{file}']) => {
      const program = join(dir, 'scan');
      await writeFile(program, `#!/bin/sh\n${script}\n`);
      await chmod(program, 0o700);
      return await createExecutableScanner({ argv: [program, ...args], ...VERDICT }).scan(file, soon());
    };
    assert.deepEqual(await run(`test "$1" = '${file.path}' && test $# = 1 && echo '{"verdict":"clean"}'`), {
      kind: 'clean',
    });
    assert.deepEqual(
      await run('env | grep -vE "^(PWD|OLDPWD|SHLVL|_)=" && exit 3; pwd >&2; echo \'{"verdict":"clean"}\''),
      {
        kind: 'clean',
      },
    );
    assert.deepEqual(await run('printf \'{"verdict":"%s"}\' "$2"', ['x', '$(id); {file}']), {
      kind: 'malicious',
      what: `$(id); ${file.path}`,
    });
    assert.deepEqual(await run('echo \'{"verdict":"evil"}\'; exit 1'), { kind: 'malicious', what: 'evil' });
    for (const script of [
      'exit 0',
      'exit 7',
      'echo \'{"verdict":"clean"}\'; exit 1',
      'echo \'{"verdict":"clean"}\'; exit 2',
      'kill -9 $$',
      'echo clean',
      'yes',
    ]) {
      assert.equal((await run(script)).kind, 'unanswered', script);
    }
    const absent = createExecutableScanner({ argv: ['/nowhere/scan', '{file}'], ...VERDICT });
    await assert.rejects(absent.scan(file, soon()), { code: 'ENOENT' });
  }));

test('a program that takes too long ends with all its children', () =>
  withFile(async (file, dir) => {
    const program = join(dir, 'scan');
    await writeFile(program, `#!/bin/sh\nsleep 61.7 &\necho $! > ${dir}/child\nwait\n`);
    await chmod(program, 0o700);
    const verdict = await createExecutableScanner({ argv: [program, '{file}'], ...VERDICT }).scan(
      file,
      AbortSignal.timeout(300),
    );
    assert.equal(verdict.kind, 'unanswered');
    const child = await readFile(join(dir, 'child'), 'utf8');
    // Gone, or dead and not yet collected by whoever inherited it.
    const state = (): string =>
      existsSync(`/proc/${child.trim()}/stat`) ? readFileSync(`/proc/${child.trim()}/stat`, 'utf8') : 'Z';
    for (let tries = 0; tries < 200 && !/\bZ\b/.test(state()); tries += 1) await setTimeout(5);
    assert.match(state(), /\bZ\b/);
  }));

test('a service gets the file, its hash and the token, and is believed in nothing but a 200', () =>
  withFile(async (file) => {
    const answers: Readonly<Record<string, readonly [number, string, Record<string, string>?]>> = {
      '/ok': [200, '{"verdict":"clean"}'],
      '/evil': [200, '{"verdict":"Evil.Model"}'],
      '/redirect': [302, '{"verdict":"clean"}', { location: '/ok' }],
      '/accepted': [202, '{"verdict":"clean"}'],
      '/error': [500, '{"verdict":"clean"}'],
      '/html': [200, '<html>clean</html>'],
    };
    const seen: (readonly [string | undefined, string, boolean])[] = [];
    await withServer(
      (request, response) => {
        const hash = createHash('sha256');
        request.on('data', (piece: Buffer) => hash.update(piece));
        request.on('end', () => {
          const { authorization, 'x-artifact-sha256': sent, 'x-artifact-name': name } = request.headers;
          seen.push([authorization, String(name), hash.digest('hex') === sent]);
          const [status, text, headers] = answers[request.url ?? ''] ?? [404, ''];
          response.writeHead(status, headers).end(text);
        });
      },
      async (origin) => {
        const ask = (path: string) =>
          createHttpScanner({ url: new URL(path, origin), token: new Secret('T0KEN'), ...VERDICT }).scan(file, soon());
        assert.deepEqual(await ask('/ok'), { kind: 'clean' });
        assert.deepEqual(await ask('/evil'), { kind: 'malicious', what: 'Evil.Model' });
        for (const path of ['/redirect', '/accepted', '/error', '/html', '/absent'])
          assert.equal((await ask(path)).kind, 'unanswered', path);
      },
    );
    assert.equal(seen.length, 7);
    for (const entry of seen) assert.deepEqual(entry, ['Bearer T0KEN', 'sub%2Fw.bin', true]);
  }));

test('a service that answers early, hangs up or floods is no clean verdict', () =>
  withFile(async (file) => {
    const ask = (listener: RequestListener, signal = soon()) =>
      withServer(listener, async (origin) => {
        const scanner: Scanner = createHttpScanner({ url: new URL(origin), token: undefined, ...VERDICT });
        const verdict = await scanner.scan(file, signal).catch(() => ({ kind: 'rejected' }));
        assert.notEqual(verdict.kind, 'clean');
      });
    await ask((_request, response) => void response.writeHead(413).end());
    await ask((request) => void request.socket.destroy());
    await ask((_request, response) => void response.end('x'.repeat(3_000_000)));
    await ask(() => {}, AbortSignal.timeout(100));
  }));

test('VirusTotal is asked by hash alone', () =>
  withFile(async (file) => {
    const requests: (readonly unknown[])[] = [];
    const stats = { malicious: 0, suspicious: 0, undetected: 60, harmless: 0, timeout: 1 };
    await withServer(
      (request, response) => {
        let bytes = 0;
        request.on('data', (piece: Buffer) => (bytes += piece.length));
        request.on('end', () => {
          requests.push([request.method, request.url, request.headers['x-apikey'], bytes]);
          response.end(JSON.stringify({ data: { id: HASH, attributes: { last_analysis_stats: stats } } }));
        });
      },
      async (origin) => {
        const scanner = createVirusTotal({
          apiKey: new Secret('K'),
          endpoint: new URL(`${origin}/api/v3/`),
          minDetections: 1,
        });
        assert.deepEqual(await scanner.scan(file, soon()), { kind: 'clean' });
      },
    );
    assert.deepEqual(requests, [['GET', `/api/v3/files/${HASH}`, 'K', 0]]);
  }));

test('a report counts only when it is whole and about this file', () => {
  const report = (stats: object, id = HASH): string =>
    JSON.stringify({ data: { id, attributes: { last_analysis_stats: stats } } });
  const kind = (status: number, text: string, minDetections = 1): string =>
    parseReport(status, text, HASH, minDetections).kind;
  const none = { malicious: 0, suspicious: 0, undetected: 0, harmless: 0 };
  assert.equal(kind(200, report({ ...none, undetected: 3 })), 'clean');
  assert.equal(kind(200, report({ ...none, undetected: 70, suspicious: 1 })), 'malicious');
  assert.equal(kind(200, report({ ...none, undetected: 70, malicious: 1 }), 3), 'clean');
  assert.equal(kind(200, report(none)), 'unknown');
  assert.equal(kind(404, '{"error":{"code":"NotFoundError"}}'), 'unknown');
  const unclear: readonly (readonly [number, string])[] = [
    [200, report({ ...none, undetected: 3 }, 'another')],
    [200, report({ ...none, undetected: -3 })],
    [200, report({ undetected: 3 })],
    [200, '{}'],
    [200, ''],
    [404, '<html>'],
    [404, '{"error":{"code":"AuthenticationRequiredError"}}'],
    [401, '{"error":{"code":"WrongCredentialsError"}}'],
    [429, '{"error":{"code":"QuotaExceededError"}}'],
    [503, report({ ...none, undetected: 3 })],
  ];
  for (const [status, text] of unclear) assert.equal(kind(status, text), 'unanswered', `${status} ${text}`);
});
