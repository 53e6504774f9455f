// install_py_dep_per_model: packages of a model's own, from an index on loopback, pinned by hash, seen by that model only.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { buildZip } from '../attack/archives.ts';
import { makeModelStore, type TestStore } from '../support/model-store.ts';
import { startRealServer, type RealServer } from '../support/real-server.ts';

/** A wheel as any build tool would make it, with a module that says who it is. */
function wheel(project: string, version: string, files: Readonly<Record<string, string>>): Buffer {
  const info = `${project}-${version}.dist-info`;
  return buildZip(
    Object.entries({
      ...files,
      [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${project}\nVersion: ${version}\n`,
      [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
      [`${info}/RECORD`]: '',
    }).map(([name, data]) => ({ name, data })),
  );
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const GREETER = wheel('greeter', '1.0', {
  'greeter/__init__.py': 'from punctuation import MARK\ndef greet(who):\n    return "hello " + who + MARK\n',
});
const PUNCTUATION = wheel('punctuation', '2.0', {
  'punctuation-2.0.data/purelib/punctuation.py': 'MARK = "!"\n',
  'punctuation-2.0.data/scripts/run-me': '#!/bin/sh\n',
});
const TORCH = wheel('torch', '9.9', { 'torch/__init__.py': 'raise RuntimeError("not the torch of the operator")\n' });
const ESCAPING = buildZip([{ name: '../escaped.py', data: 'x = 1' }]);

const GREET = `
import greeter

def handle(data, context):
    return None if data is None else [greeter.greet(row["body"]) for row in data]
`;
const LOOK = `
import importlib.util

def handle(data, context):
    return None if data is None else [str(importlib.util.find_spec("greeter")) for _ in data]
`;
const pin = (name: string, version: string, bytes: Uint8Array, marker = ''): string =>
  `${name}==${version} ${marker} --hash=sha256:${sha256(bytes)}\n`;
const PINS = pin('Greeter', '1.0', GREETER) + pin('punctuation', '2.0', PUNCTUATION, '; python_version >= "3"');

describe('packages of a model', () => {
  let index: Server;
  let store: TestStore;
  let server: RealServer;
  const asked: string[] = [];

  before(async () => {
    const files: Record<string, Buffer> = {
      'greeter-1.0-py3-none-any.whl': GREETER,
      'greeter-1.0-cp39-cp39-win32.whl': Buffer.from('for another machine'),
      'punctuation-2.0-py3-none-any.whl': PUNCTUATION,
      'torch-9.9-py3-none-any.whl': TORCH,
      'escaping-1.0-py3-none-any.whl': ESCAPING,
      'liar-1.0-py3-none-any.whl': GREETER,
      'sourceful-1.0.tar.gz': GREETER,
    };
    index = createServer((request, response) => {
      asked.push(request.url ?? '');
      const [, folder, name = ''] = (request.url ?? '').split('/');
      if (folder === 'files') return void response.end(files[name] ?? '');
      const own = Object.entries(files).filter(([file]) => file.startsWith(`${name}-`));
      const hashOf = (file: string, bytes: Buffer): string =>
        sha256(file.startsWith('liar') ? Buffer.from('lie') : bytes);
      if (name === 'punctuation') {
        response.setHeader('content-type', 'text/html');
        return void response.end(
          own.map(([file, bytes]) => `<a href="/files/${file}#sha256=${hashOf(file, bytes)}">${file}</a>`).join('\n'),
        );
      }
      const away = name === 'elsewhere';
      response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json');
      const list = away
        ? [
            {
              filename: 'elsewhere-1.0-py3-none-any.whl',
              url: 'http://127.0.0.9:9/x.whl',
              hashes: { sha256: sha256(GREETER) },
            },
          ]
        : own.map(([file, bytes]) => ({
            filename: file,
            url: `/files/${file}`,
            hashes: { sha256: hashOf(file, bytes) },
          }));
      response.end(JSON.stringify({ files: list }));
    }).listen(0, '127.0.0.1');
    await once(index, 'listening');

    store = makeModelStore();
    const add = (name: string, handler: string, requirements: string): void =>
      store.add(name, handler, {
        files: { 'requirements.txt': requirements },
        model: { requirementsFile: 'requirements.txt' },
      });
    add('greet', GREET, PINS);
    add('again', GREET, PINS);
    add('unpinned', GREET, 'greeter==1.0\n');
    add('wrong', GREET, `greeter==1.0 --hash=sha256:${'0'.repeat(64)}\n`);
    add('options', GREET, `--index-url http://127.0.0.9:9/\n${PINS}`);
    add('escape', GREET, pin('escaping', '1.0', ESCAPING));
    add('lie', GREET, `liar==1.0 --hash=sha256:${sha256(Buffer.from('lie'))}\n`);
    add('source', GREET, pin('sourceful', '1.0', GREETER));
    add('away', GREET, pin('elsewhere', '1.0', GREETER));
    add(
      'shadow',
      'import torch\ndef handle(data, context):\n    return data and [torch.__name__ for _ in data]\n',
      pin('torch', '9.9', TORCH),
    );
    add('elsewhen', LOOK, pin('greeter', '1.0', GREETER, '; python_version < "3"'));
    store.add('bare', LOOK);
    server = await startRealServer({
      modelStore: store.dir,
      models: ['greet', 'bare'],
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

  test('are there before its first worker starts, with what they need themselves', async () => {
    const response = await server.predict('greet', 'world');
    assert.deepEqual([response.status, await response.text()], [200, 'hello world!']);
    assert.match(server.output(), /Installed custom pip packages for model greet/);
  });

  test('are seen by that model only', async () => {
    assert.equal(await (await server.predict('bare', 'x')).text(), 'None');
  });

  test('are shared by content: what is here is not fetched again', async () => {
    const fetched = (): number => asked.filter((path) => path.startsWith('/files/')).length;
    const before = fetched();
    assert.equal((await register('again')).status, 200);
    assert.equal(await (await server.predict('again', 'you')).text(), 'hello you!');
    assert.equal(fetched(), before);
  });

  test('that a marker excludes are left out', async () => {
    assert.equal((await register('elsewhen')).status, 200);
    assert.equal(await (await server.predict('elsewhen', 'x')).text(), 'None');
  });

  test('never stand in for the operator’s own framework', async () => {
    assert.equal((await register('shadow')).status, 200);
    assert.equal(await (await server.predict('shadow', 'x')).text(), 'torch');
  });

  const REFUSED = {
    unpinned: /not of the form name==version/,
    wrong: /no file of the index has one of its hashes/,
    options: /not of the form name==version/,
    escape: /Archive refused/,
    lie: /its content has another hash/,
    source: /none of its files is a wheel that fits/,
    away: /neither on the index nor on pip_file_origins/,
  };
  for (const [name, reason] of Object.entries(REFUSED)) {
    test(`that cannot be had as they are pinned fail the registration of "${name}", which stays without workers`, async () => {
      const response = await register(name);
      assert.equal(response.status, 400);
      const { type, message } = (await response.json()) as Record<string, unknown>;
      assert.deepEqual([type, message], ['ModelException', `Custom pip package installation failed for model ${name}`]);
      await server.until(new RegExp(`${name}: .*${reason.source}`));
      const [description] = (await (await server.manage('GET', `/models/${name}`)).json()) as Record<string, any>[];
      assert.deepEqual([description!['minWorkers'], description!['workers']], [0, []]);
    });
  }
});
