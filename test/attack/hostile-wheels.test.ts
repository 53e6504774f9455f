// Packages of a model that were made to be more than packages, from an index that was made to mislead: none is installed that
// is not exactly what was pinned, and what is installed runs nothing and stands in for nobody.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeModelStore, type TestStore } from '../support/model-store.ts';
import { startRealServer, type RealServer } from '../support/real-server.ts';
import { buildZip, SYMLINK } from './archives.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const pin = (name: string, version: string, bytes: Uint8Array): string =>
  `${name}==${version} --hash=sha256:${sha256(bytes)}\n`;

function wheel(project: string, files: Readonly<Record<string, string>>): Buffer {
  const info = `${project}-1.0.dist-info`;
  const metadata = `Metadata-Version: 2.1\nName: ${project}\nVersion: 1.0\n`;
  return buildZip(
    Object.entries({ [`${info}/METADATA`]: metadata, [`${info}/RECORD`]: '', ...files }).map(([name, data]) => ({
      name,
      data,
    })),
  );
}

const PLAIN = wheel('plain', { 'plain.py': 'x = 1\n' });
const PUSHED = 'import sys; sys.pushed = True\n';
/** Everything by which a package tries to be run, or to be taken for somebody else. */
const PUSHY = wheel('pushy', {
  'pushy/__init__.py': 'VALUE = "imported"\n',
  'pushy.pth': PUSHED,
  'pushy-nspkg.pth': '/tmp\n',
  'sitecustomize.py': PUSHED,
  'usercustomize.py': PUSHED,
  'json.py': PUSHED,
  'socket/__init__.py': PUSHED,
  'ts/__init__.py': PUSHED,
  'davy_worker/cage.py': PUSHED,
  'pushy-1.0.data/scripts/python3': '#!/bin/sh\n',
  'pushy-1.0.data/data/bin/python3': '#!/bin/sh\n',
  'pushy-1.0.data/headers/python3.h': '',
  'pushy-1.0.dist-info/entry_points.txt': '[console_scripts]\npython3 = pushy:main\n',
});
const NEEDY = wheel('needy', {
  'needy.py': 'x = 1\n',
  'needy-1.0.dist-info/METADATA': 'Metadata-Version: 2.1\nName: needy\nVersion: 1.0\nRequires-Dist: unlisted>=1\n',
});
/** Each is no wheel that anybody may unpack, and says why. */
const UNFIT: Readonly<Record<string, readonly [bytes: Buffer, reason: RegExp]>> = {
  climbing: [buildZip([{ name: '../climbing.py', data: 'x = 1' }]), /relative segment/],
  absolute: [buildZip([{ name: '/tmp/absolute.py', data: 'x = 1' }]), /is absolute/],
  spread: [buildZip([{ name: 'spread-1.0.data/purelib/../../../spread.py', data: 'x = 1' }]), /relative segment/],
  linked: [buildZip([{ name: 'linked.py', data: '/etc/passwd', mode: SYMLINK }]), /Archive refused/],
  twice: [
    buildZip([
      { name: 'twice.py', data: 'x = 1' },
      { name: 'twice.py', data: 'x = 2' },
    ]),
    /two members are named/,
  ],
  folded: [
    buildZip([
      { name: 'folded/a.py', data: 'x = 1' },
      { name: 'Folded/A.py', data: 'x = 2' },
    ]),
    /Archive refused/,
  ],
  bomb: [buildZip([{ name: 'bomb.bin', data: Buffer.alloc(80 * 1024 ** 2) }]), /Archive refused/],
  nothing: [Buffer.from('PK not a wheel'), /Archive refused/],
};
const LAYER = wheel('layer', { thing: 'a file\n' });
const CAKE = wheel('cake', { 'thing/inside.py': 'x = 1\n' });

const LOOK_AROUND = `
import json, os, socket, sys
import pushy

def handle(data, context):
    if data is None:
        return None
    folder = os.path.dirname(os.path.dirname(pushy.__file__))
    try:
        open(os.path.join(folder, "pushy", "more.py"), "w")
        writable = True
    except OSError:
        writable = False
    pushed = hasattr(sys, "pushed") or any(folder in m.__file__ for m in (json, socket, sys.modules["ts"]))
    return [json.dumps([pushy.VALUE, pushed, writable]) for _ in data]
`;
const USE = 'import needy\ndef handle(data, context):\n    return data and [str(needy.x) for _ in data]\n';

describe('a hostile wheel', () => {
  let index: Server;
  let store: TestStore;
  let server: RealServer;
  const asked: string[] = [];

  before(async () => {
    const wheels: Record<string, Buffer> = {
      plain: PLAIN,
      pushy: PUSHY,
      needy: NEEDY,
      layer: LAYER,
      cake: CAKE,
      ...Object.fromEntries(Object.entries(UNFIT).map(([name, [bytes]]) => [name, bytes])),
    };
    index = createServer((request, response) => {
      const path = request.url ?? '';
      asked.push(path);
      const [, folder, name = ''] = path.split('/');
      const away = { location: 'http://127.0.0.9:9/simple/x/' };
      if (name === 'led-away') return void response.writeHead(302, away).end();
      if (name === 'in-circles') return void response.writeHead(302, { location: path }).end();
      if (folder === 'files') {
        if (name === 'file-away') return void response.writeHead(302, away).end();
        return void response.end(name === 'swapped' ? PUSHY : (wheels[name] ?? PLAIN));
      }
      const version = name === 'newer' ? '2.0' : '1.0';
      const hashes = { sha256: sha256(wheels[name] ?? PLAIN) };
      response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json');
      const file = {
        filename: `${name.replaceAll('-', '_')}-${version}-py3-none-any.whl`,
        url: `/files/${name}`,
        hashes,
      };
      response.end(JSON.stringify({ files: [file] }));
    }).listen(0, '127.0.0.1');
    await once(index, 'listening');

    store = makeModelStore();
    const add = (name: string, requirements: string, handler = 'def handle(data, context):\n    return data\n'): void =>
      store.add(name, handler, {
        files: { 'requirements.txt': requirements },
        model: { requirementsFile: 'requirements.txt' },
      });
    for (const [name, [bytes]] of Object.entries(UNFIT)) add(name, pin(name, '1.0', bytes));
    for (const name of ['newer', 'led-away', 'in-circles', 'swapped']) add(name, pin(name, '1.0', PLAIN));
    add('file-away', pin('file_away', '1.0', PLAIN));
    add('collide', pin('layer', '1.0', LAYER) + pin('cake', '1.0', CAKE));
    add('marked', `plain==1.0 ; ${'('.repeat(50_000)} --hash=sha256:${sha256(PLAIN)}\n`);
    add('uses', pin('needy', '1.0', NEEDY), USE);
    add('looks', pin('pushy', '1.0', PUSHY), LOOK_AROUND);
    server = await startRealServer({
      modelStore: store.dir,
      config: [
        'install_py_dep_per_model=true',
        'enable_model_api=true',
        `pip_index_url=http://127.0.0.1:${(index.address() as AddressInfo).port}/simple`,
      ],
    });
  });

  after(async () => {
    await server?.stop();
    index?.closeAllConnections();
    index?.close();
    store?.[Symbol.dispose]();
  });

  const register = (url: string): Promise<Response> =>
    server.manage('POST', `/models?url=${url}&initial_workers=1&synchronous=true`);

  test('runs nothing by being there, stands in for nobody, and is not writable', async () => {
    assert.equal((await register('looks')).status, 200);
    const answer = await server.predict('looks', 'x');
    assert.deepEqual([answer.status, await answer.json()], [200, ['imported', false, false]]);
  });

  test('brings no programs, headers or data', () => {
    const packages = join(server.dir, 'state', 'packages');
    const names = readdirSync(packages, { recursive: true }).map(String);
    assert.ok(names.some((name) => name.endsWith('pushy/__init__.py')));
    assert.deepEqual(
      names.filter((name) => name.includes('python3')),
      [],
    );
    const modes = names.map((name) => statSync(join(packages, name)).mode);
    assert.ok(modes.every((mode) => (mode & 0o222) === 0));
  });

  test('brings nothing that is not pinned, whatever it says that it needs', async () => {
    assert.equal((await register('uses')).status, 200);
    assert.ok(asked.some((path) => path.includes('/needy')));
    assert.ok(!asked.some((path) => path.includes('unlisted')));
  });

  test('is never fetched while a request waits', async () => {
    const before = asked.length;
    assert.equal(await (await server.predict('uses', 'x')).text(), '1');
    assert.equal(asked.length, before);
  });

  const REFUSED: Readonly<Record<string, RegExp>> = {
    ...Object.fromEntries(Object.entries(UNFIT).map(([name, [, reason]]) => [name, reason])),
    newer: /none of its files is a wheel that fits/,
    swapped: /its content has another hash/,
    collide: /two of its packages/,
    marked: /could not say which wheels/,
    'led-away': /neither on the index nor on pip_file_origins/,
    'file-away': /neither on the index nor on pip_file_origins/,
    'in-circles': /too many redirects/,
  };
  for (const [name, reason] of Object.entries(REFUSED)) {
    test(`is refused: ${name}`, async () => {
      const response = await register(name);
      assert.equal(response.status, 400, await response.text());
      await server.until(new RegExp(`${name}: .*${reason.source}`));
      assert.deepEqual(
        readdirSync(join(server.dir, 'state', 'packages')).filter((folder) => !/^[0-9a-f]{64}$/.test(folder)),
        [],
      );
    });
  }
});
