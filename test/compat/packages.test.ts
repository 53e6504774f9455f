// install_py_dep_per_model: packages of a model's own, from an index on loopback, pinned by hash, seen by that model only.
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { buildZip } from '../attack/archives.ts';
import type { TestStore } from '../support/model-store.ts';
import { describeWithPackageIndex, pin, requiring, sha256, wheel } from '../support/package-index.ts';

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
const PINS = pin('Greeter', '1.0', GREETER) + pin('punctuation', '2.0', PUNCTUATION, '; python_version >= "3"');

const FILES: Readonly<Record<string, Buffer>> = {
  'greeter-1.0-py3-none-any.whl': GREETER,
  'greeter-1.0-cp39-cp39-win32.whl': Buffer.from('for another machine'),
  'punctuation-2.0-py3-none-any.whl': PUNCTUATION,
  'torch-9.9-py3-none-any.whl': TORCH,
  'escaping-1.0-py3-none-any.whl': ESCAPING,
  'liar-1.0-py3-none-any.whl': GREETER,
  'sourceful-1.0.tar.gz': GREETER,
};

function answer(path: string, response: ServerResponse): void {
  const [, folder, name = ''] = path.split('/');
  if (folder === 'files') return void response.end(FILES[name] ?? '');
  const own = Object.entries(FILES).filter(([file]) => file.startsWith(`${name}-`));
  const hashOf = (file: string, bytes: Buffer): string => sha256(file.startsWith('liar') ? Buffer.from('lie') : bytes);
  if (name === 'punctuation') {
    response.setHeader('content-type', 'text/html');
    return void response.end(
      own.map(([file, bytes]) => `<a href="/files/${file}#sha256=${hashOf(file, bytes)}">${file}</a>`).join('\n'),
    );
  }
  const away = {
    filename: 'elsewhere-1.0-py3-none-any.whl',
    url: 'http://127.0.0.9:9/x.whl',
    hashes: { sha256: sha256(GREETER) },
  };
  const files = own.map(([file, bytes]) => ({
    filename: file,
    url: `/files/${file}`,
    hashes: { sha256: hashOf(file, bytes) },
  }));
  response.setHeader('content-type', 'application/vnd.pypi.simple.v1+json');
  response.end(JSON.stringify({ files: name === 'elsewhere' ? [away] : files }));
}

function fill(store: TestStore): void {
  const add = (name: string, handler: string, requirements: string): void =>
    store.add(name, handler, requiring(requirements));
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
}

describeWithPackageIndex('packages of a model', { models: ['greet', 'bare'], answer, fill }, (suite) => {
  test('are there before its first worker starts, with what they need themselves', async () => {
    const response = await suite.server.predict('greet', 'world');
    assert.deepEqual([response.status, await response.text()], [200, 'hello world!']);
    assert.match(suite.server.output(), /Installed custom pip packages for model greet/);
  });

  test('are seen by that model only', async () => {
    assert.equal(await (await suite.server.predict('bare', 'x')).text(), 'None');
  });

  test('are shared by content: what is here is not fetched again', async () => {
    const fetched = (): number => suite.asked.filter((path) => path.startsWith('/files/')).length;
    const before = fetched();
    assert.equal((await suite.register('again')).status, 200);
    assert.equal(await (await suite.server.predict('again', 'you')).text(), 'hello you!');
    assert.equal(fetched(), before);
  });

  test('that a marker excludes are left out', async () => {
    assert.equal((await suite.register('elsewhen')).status, 200);
    assert.equal(await (await suite.server.predict('elsewhen', 'x')).text(), 'None');
  });

  test('never stand in for the operator’s own framework', async () => {
    assert.equal((await suite.register('shadow')).status, 200);
    assert.equal(await (await suite.server.predict('shadow', 'x')).text(), 'torch');
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
      const response = await suite.register(name);
      assert.equal(response.status, 400);
      const { type, message } = (await response.json()) as Record<string, unknown>;
      assert.deepEqual([type, message], ['ModelException', `Custom pip package installation failed for model ${name}`]);
      await suite.server.until(new RegExp(`${name}: .*${reason.source}`));
      const [description] = (await (await suite.server.manage('GET', `/models/${name}`)).json()) as Record<
        string,
        any
      >[];
      assert.deepEqual([description!['minWorkers'], description!['workers']], [0, []]);
    });
  }
});
