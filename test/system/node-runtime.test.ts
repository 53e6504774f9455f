// A TypeScript handler as its author meets it: packed by `davy archive`, loaded in a cage, its words in the log.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startRealServer, type RealServer } from '../support/real-server.ts';

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'davy');
const EXAMPLES = join(import.meta.dirname, '..', '..', 'examples', 'digits');
const ROUTE = { headers: { 'content-type': 'text/plain' } };

const GOOD = `
import type { Handler } from 'davy-serve/handler';

export const handle: Handler['handle'] = (data, context) =>
  data.map((row, index) => {
    console.log('saw', row['body']);
    console.error('warned', row['body']);
    if (row['body'] === 'bad') return context.predictionError('not that one', 422);
    if (row['body'] === 'throw') throw new TypeError('secret detail');
    context.setResponseHeader(index, 'x-model', context.modelName);
    return { said: row['body'] };
  });
`;
const BAD = {
  syntax: 'export function handle(data { return data; }',
  missing: "import { x } from 'no-such-package';\nexport const handle = () => [x];",
  nothing: 'export const something = 1;',
  throwing:
    "export function initialize() { throw new Error('no weights here'); }\nexport const handle = (data) => data;",
};

describe('the node runtime', { timeout: 120_000 }, () => {
  let folder: string;
  let server: RealServer;
  const archive = (name: string, code: string): void => {
    writeFileSync(join(folder, `${name}.ts`), code);
    davy('--model-name', name, '--runtime', 'node', '--handler', join(folder, `${name}.ts`));
  };
  const davy = (...args: readonly string[]): void => {
    execFileSync(process.execPath, [BIN, 'archive', '--version', '1.0', '--export-path', folder, ...args]);
  };
  const register = async (name: string): Promise<string> => {
    const answer = await server.manage('POST', `/models?url=${name}.mar&initial_workers=1&synchronous=true`);
    return `${answer.status} ${await answer.text()}`;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'davy-node-runtime-'));
    archive('good', GOOD);
    for (const [name, code] of Object.entries(BAD)) archive(name, code);
    davy(
      '--model-name',
      'digits',
      '--runtime',
      'onnx',
      '--handler',
      'onnx',
      '--serialized-file',
      `${EXAMPLES}/digits.onnx`,
    );
    server = await startRealServer({
      modelStore: folder,
      models: ['good.mar', 'digits.mar'],
      flags: ['--enable-model-api'],
    });
  });
  after(async () => {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('answers values, and errors for their request alone', async () => {
    const answer = await server.predict('good', 'hello', ROUTE.headers);
    assert.deepEqual(
      [answer.status, answer.headers.get('x-model'), await answer.json()],
      [200, 'good', { said: 'hello' }],
    );
    const refused = await server.predict('good', 'bad', ROUTE.headers);
    assert.equal(refused.status, 422);
    assert.match(await refused.text(), /not that one/);
    const thrown = await server.predict('good', 'throw', ROUTE.headers);
    assert.equal(thrown.status, 503);
    assert.doesNotMatch(await thrown.text(), /secret detail/);
  });

  test('puts what a handler prints, and where it threw, into the log', async () => {
    await server.predict('good', 'printed', ROUTE.headers);
    await server.until(/W-\d+-good_1\.0-stdout MODEL_LOG - saw printed/);
    await server.until(/W-\d+-good_1\.0-stderr MODEL_LOG - warned printed/);
    await server.predict('good', 'throw', ROUTE.headers);
    await server.until(/MODEL_LOG - .*TypeError: secret detail/);
  });

  for (const [name, reason] of [
    ['syntax', /SyntaxError|Expected/],
    ['missing', /no-such-package/],
    ['nothing', /handle/],
    ['throwing', /no weights here/],
  ] as const) {
    test(`says in the log why a handler cannot be loaded (${name})`, async () => {
      assert.match(await register(name), /^5\d\d /);
      const [, said] = await server.until(new RegExp(`W-\\d+-${name}_1\\.0 .*could not load the model: (.*)`));
      assert.match(said!, reason);
    });
  }

  test('says of explanations and descriptions that a model has none', async () => {
    for (const model of ['good', 'digits']) {
      const answer = await fetch(`${server.inference}/explanations/${model}`, {
        method: 'POST',
        body: 'x',
        headers: { authorization: `Bearer ${server.key('inference')}`, 'content-type': 'text/plain' },
      });
      const text = await answer.text();
      assert.ok(answer.status >= 400 && answer.status < 600, String(answer.status));
      assert.match(text, /expla/i, text);
      const described = await server.manage('GET', `/models/${model}?customized=true`);
      assert.equal(described.status, 200);
    }
  });
});
