// Registrations that fail, each at another step and by every door: nothing of the model stays, and the next one is as if it had never been.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { ManagementAPIsService } from '../../src/grpc/gen/management_pb.ts';
import { diskTree } from './doors/disk.ts';
import { eventually } from '../support/eventually.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { makeModelStore, NOOP, type ModelExtras, type TestStore } from '../support/model-store.ts';
import { portOf, startRealServer, type RealServer } from '../support/real-server.ts';

/** A time nobody else sleeps for, to find what was left running. */
const NAP_SEC = 314_159;
const SCANNER = `#!/bin/sh
grep -q SLEEP "$1" && sleep ${NAP_SEC}
grep -q CRASH "$1" && kill -SEGV $$
grep -q EVIL "$1" && echo '{"verdict":"Test.Evil"}' && exit 1
echo '{"verdict":"clean"}'
`;
const onLoad = (statement: string): string =>
  `import os, sys, time\nclass H:\n    def initialize(self, context):\n        ${statement}\n    def handle(self, data, context):\n        return data\n`;
const note = (word: string): ModelExtras => ({ files: { 'notes.txt': word } });
const impatient: ModelExtras = { config: 'maxRetryTimeoutInSec: 1\n' };

/** The step that fails, and what the caller hears. */
const FAILURES: readonly (readonly [name: string, handler: string, extras: ModelExtras, heard: RegExp])[] = [
  ['scanner-detects', NOOP, note('EVIL'), /scanner_detected: strict: Test\.Evil/],
  ['scanner-crashes', NOOP, note('CRASH'), /scanner_unanswered: strict/],
  ['scanner-too-late', NOOP, note('SLEEP'), /scanner_unanswered: strict: No verdict within 1 s/],
  ['signed-not', NOOP, {}, /signature_missing/],
  ['signed-garbage', NOOP, { files: { 'MAR-INF/model.sig': '{}' } }, /signature_invalid/],
  ['denied', NOOP, {}, /model_not_trusted/],
  ['no-manifest-handler', NOOP, { model: { handler: 'absent.py' } }, /absent\.py/],
  ['bad name', NOOP, { model: { modelName: '../x' } }, /./],
  ['canary', NOOP, {}, /already registered/],
  ['load-raises', onLoad('raise RuntimeError("no")'), impatient, /Failed to start workers/],
  ['load-dies', onLoad('os._exit(3)'), impatient, /Failed to start workers/],
  ['load-runs-out', onLoad('raise MemoryError()'), impatient, /Failed to start workers/],
  [
    'load-hangs',
    onLoad('time.sleep(600)'),
    { config: 'startupTimeout: 1\nmaxRetryTimeoutInSec: 1\n' },
    /Failed to start workers/,
  ],
];

describe('a registration that fails', () => {
  let dir = '';
  let store: TestStore;
  let site: Server;
  let server: RealServer;
  let files: ReadonlyMap<string, Buffer>;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'davy-leaves-'));
    writeFileSync(join(dir, 'scan'), SCANNER);
    chmodSync(join(dir, 'scan'), 0o700);
    const policy =
      'version: 1\nsigners:\n  us: { roots: us.pem, identity: release@example.com }\nrules:\n  - { models: signed*, signature: us }\n  - { models: denied, deny: true }\ndefault: allow\n';
    writeFileSync(join(dir, 'policy.yaml'), policy);
    const fixture = join(import.meta.dirname, '../fixtures/provenance/pki');
    writeFileSync(join(dir, 'us.pem'), readFileSync(join(fixture, 'root.pem')));
    store = makeModelStore();
    store.add('canary', NOOP);
    for (const [name, handler, extras] of FAILURES) store.addArchive(`${name}.mar`, name, handler, extras);
    files = new Map(FAILURES.map(([name]) => [name, readFileSync(join(store.dir, `${name}.mar`))]));
    site = createServer(({ url = '' }, response) => {
      const name = decodeURIComponent(url).replace(/^\/remote-|\.mar$/g, '');
      const bytes = files.get(name) ?? Buffer.alloc(0);
      response.writeHead(200, { 'content-length': bytes.length + (name === 'cut' ? 1000 : 0) });
      if (name === 'cut') response.write('PK\x03\x04', () => response.destroy());
      else response.end(bytes);
    }).listen(0, '127.0.0.1');
    await once(site, 'listening');
    const { port } = site.address() as AddressInfo;
    const scanner = {
      kind: 'executable',
      name: 'strict',
      only: ['txt'],
      timeoutSec: 1,
      argv: [join(dir, 'scan'), '{file}'],
    };
    server = await startRealServer({
      modelStore: store.dir,
      models: ['canary'],
      flags: ['--enable-model-api'],
      config: [
        `allowed_urls=http://127.0.0.1:${port}/.*`,
        `scanners=${JSON.stringify([scanner])}`,
        `trust_policy=${join(dir, 'policy.yaml')}`,
      ],
    });
  });
  after(async () => {
    await server?.stop();
    site?.closeAllConnections();
    site?.close();
    store?.[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  const remote = (name: string): string =>
    `http://127.0.0.1:${(site.address() as AddressInfo).port}/remote-${encodeURIComponent(name)}.mar`;
  const register = (url: string, signal?: AbortSignal): Promise<Response> => {
    const query = new URLSearchParams({ url, initial_workers: '1', synchronous: 'true' });
    const headers = { authorization: `Bearer ${server.key('management')}` };
    return fetch(`${server.management}/models?${query}`, { method: 'POST', headers, ...(signal && { signal }) });
  };
  const trees = (): Promise<string> => diskTree([server.dir, store.dir, dir], /\/logs\b/);

  const assertNothingLeft = async (before: string): Promise<void> => {
    assert.equal(await trees(), before);
    const { models } = (await (await server.manage('GET', '/models')).json()) as { models: { modelName: string }[] };
    assert.deepEqual(
      models.map(({ modelName }) => modelName),
      ['canary'],
    );
    assert.equal(await (await server.predict('canary', 'x')).text(), 'OK');
    assert.doesNotMatch(execFileSync('ps', ['-eo', 'args']).toString(), new RegExp(`sleep ${NAP_SEC}`));
  };

  test('leaves nothing behind: an archive of the store, over REST', async () => {
    const before = await trees();
    const outcomes = FAILURES.map(async ([name, , , heard]) => {
      const response = await register(`${name}.mar`);
      assert.ok([400, 409, 500, 507].includes(response.status), `${name}: ${response.status}`);
      assert.match(await response.text(), heard, name);
    });
    await Promise.all(outcomes);
    await assertNothingLeft(before);
  });

  test('leaves nothing behind: a download, over gRPC', async () => {
    const before = await trees();
    const { registerModel } = ManagementAPIsService.method;
    using client = new GrpcClient(portOf(server.grpcManagement));
    const outcomes = [...FAILURES, ['cut', '', {}, /Failed to download archive/] as const].map(
      async ([name, , , heard]) => {
        const request = create(registerModel.input, { url: remote(name), synchronous: true, initialWorkers: 1 });
        await assert.rejects(client.unary(registerModel, request, { key: server.key('management') }), heard, name);
      },
    );
    await Promise.all(outcomes);
    await assertNothingLeft(before);
  });

  test('leaves nothing behind when its caller does not wait for the end', async () => {
    const before = await trees();
    const given = new AbortController();
    const calls = ['scanner-too-late.mar', remote('scanner-too-late'), 'load-hangs.mar'].map((url) =>
      register(url, given.signal),
    );
    // Far enough to have unpacked something.
    await eventually('something is unpacked', async () => (await trees()) !== before);
    given.abort();
    await Promise.allSettled(calls);
    await eventually('it is gone again', async () => (await trees()) === before);
    await assertNothingLeft(before);
  });
});
