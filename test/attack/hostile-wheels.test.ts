// Packages of a model that were made to be more than packages, from an index that was made to mislead: none is installed that
// is not exactly what was pinned, and what is installed runs nothing and stands in for nobody.
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestStore } from '../support/model-store.ts';
import { describeWithPackageIndex, pin, requiring, sha256, wheel } from '../support/package-index.ts';
import { buildZip, SYMLINK } from './archives.ts';

const PLAIN = wheel('plain', '1.0', { 'plain.py': 'x = 1\n' });
const PUSHED = 'import sys; sys.pushed = True\n';
/** Everything by which a package tries to be run, or to be taken for somebody else. */
const PUSHY = wheel('pushy', '1.0', {
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
const NEEDY = wheel('needy', '1.0', {
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
const LAYER = wheel('layer', '1.0', { thing: 'a file\n' });
const CAKE = wheel('cake', '1.0', { 'thing/inside.py': 'x = 1\n' });

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

const WHEELS: Readonly<Record<string, Buffer>> = {
  plain: PLAIN,
  pushy: PUSHY,
  needy: NEEDY,
  layer: LAYER,
  cake: CAKE,
  ...Object.fromEntries(Object.entries(UNFIT).map(([name, [bytes]]) => [name, bytes])),
};

function answer(path: string, response: ServerResponse): void {
  const [, folder, name = ''] = path.split('/');
  const away = { location: 'http://127.0.0.9:9/simple/x/' };
  if (name === 'led-away') return void response.writeHead(302, away).end();
  if (name === 'in-circles') return void response.writeHead(302, { location: path }).end();
  if (folder === 'files') {
    if (name === 'file-away') return void response.writeHead(302, away).end();
    return void response.end(name === 'swapped' ? PUSHY : (WHEELS[name] ?? PLAIN));
  }
  const version = name === 'newer' ? '2.0' : '1.0';
  const file = {
    filename: `${name.replaceAll('-', '_')}-${version}-py3-none-any.whl`,
    url: `/files/${name}`,
    hashes: { sha256: sha256(WHEELS[name] ?? PLAIN) },
  };
  response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json');
  response.end(JSON.stringify({ files: [file] }));
}

function fill(store: TestStore): void {
  const add = (name: string, requirements: string, handler = 'def handle(data, context):\n    return data\n'): void =>
    store.add(name, handler, requiring(requirements));
  for (const [name, [bytes]] of Object.entries(UNFIT)) add(name, pin(name, '1.0', bytes));
  for (const name of ['newer', 'led-away', 'in-circles', 'swapped']) add(name, pin(name, '1.0', PLAIN));
  add('file-away', pin('file_away', '1.0', PLAIN));
  add('collide', pin('layer', '1.0', LAYER) + pin('cake', '1.0', CAKE));
  add('marked', pin('plain', '1.0', PLAIN, `; ${'('.repeat(50_000)}`));
  add('uses', pin('needy', '1.0', NEEDY), USE);
  add('looks', pin('pushy', '1.0', PUSHY), LOOK_AROUND);
}

describeWithPackageIndex('a hostile wheel', { answer, fill }, (suite) => {
  test('runs nothing by being there, stands in for nobody, and is not writable', async () => {
    assert.equal((await suite.register('looks')).status, 200);
    const answer = await suite.server.predict('looks', 'x');
    assert.deepEqual([answer.status, await answer.json()], [200, ['imported', false, false]]);
  });

  test('brings no programs, headers or data', () => {
    const packages = join(suite.server.dir, 'state', 'packages');
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
    assert.equal((await suite.register('uses')).status, 200);
    assert.ok(suite.asked.some((path) => path.includes('/needy')));
    assert.ok(!suite.asked.some((path) => path.includes('unlisted')));
  });

  test('is never fetched while a request waits', async () => {
    const before = suite.asked.length;
    assert.equal(await (await suite.server.predict('uses', 'x')).text(), '1');
    assert.equal(suite.asked.length, before);
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
      const response = await suite.register(name);
      assert.equal(response.status, 400, await response.text());
      await suite.server.until(new RegExp(`${name}: .*${reason.source}`));
      assert.deepEqual(
        readdirSync(join(suite.server.dir, 'state', 'packages')).filter((folder) => !/^[0-9a-f]{64}$/.test(folder)),
        [],
      );
    });
  }
});
