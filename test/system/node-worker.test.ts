import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { WorkerProcess } from '../support/worker-process.ts';

const HANDLER = `
let prefix: string;
export async function initialize(context: { modelConfig: { prefix: string } }): Promise<void> {
  prefix = context.modelConfig.prefix;
}
export async function handle(data, context) {
  if (data.some((row) => row.body === 'break')) throw new Error('secret detail');
  const signal = context.getSignal(0);
  if (data.some((row) => row.body === 'wait') && !signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
  context.setResponseStatus(201, 'Made', 0);
  context.setResponseContentType(0, 'text/plain');
  context.sendIntermediate(0, 'first ');
  return data.map((row, index) => {
    if (row.body === 'bad') return context.predictionError('not that one', 422);
    if (Buffer.isBuffer(row.body)) return row.body.toReversed();
    if (typeof row.body === 'object') return { ...row.body, id: context.getRequestId(index) };
    return prefix + row.body;
  });
}
`;

async function startHandler(code: string, handler = 'handler.ts'): Promise<WorkerProcess> {
  const dir = await mkdtemp(join(tmpdir(), 'davy-node-worker-'));
  await writeFile(join(dir, 'handler.ts'), code);
  const worker = new WorkerProcess('node');
  worker.child.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  assert.equal((await worker.read()).header['runtime'], 'node');
  worker.load({ dir, handler, config: { prefix: '> ' } });
  return worker;
}

test('a TypeScript handler gets decoded rows and answers text, bytes, JSON and its own errors, each for itself', async () => {
  await using worker = await startHandler(HANDLER);
  assert.equal((await worker.read()).header['t'], 'loaded', worker.output);
  worker.run(7, [
    { parts: [['body', 'text/plain', Buffer.from('hello')]] },
    { parts: [['body', null, Buffer.from([1, 2, 3])]] },
    { parts: [['body', 'application/json', Buffer.from('{"a":1}')]] },
    { parts: [['body', 'text/plain', Buffer.from('bad')]] },
  ]);
  const piece = await worker.read();
  assert.deepEqual(
    [piece.header['t'], piece.header['i'], piece.header['more'], piece.body.toString()],
    ['item', 0, true, 'first '],
  );
  const [text, bytes, object, refused] = await worker.results();
  assert.deepEqual(text!.meta, { n: 7, st: [201, 'Made'], ct: 'text/plain' });
  assert.equal(text!.body.toString(), '> hello');
  assert.deepEqual([...bytes!.body], [3, 2, 1]);
  assert.equal(object!.body.toString(), '{\n  "a": 1,\n  "id": "request-2"\n}');
  assert.deepEqual(refused!.meta, { n: 0, e: [422, 'not that one'] });
});

test('an exception in a handler fails its batch without showing its text, and the worker serves on', async () => {
  await using worker = await startHandler(HANDLER);
  await worker.read();
  worker.run(1, [{ parts: [['body', 'text/plain', Buffer.from('break')]] }]);
  assert.deepEqual((await worker.read()).header, { t: 'fault', b: 1, code: 503, message: 'Prediction failed' });
  worker.run(2, [{ parts: [['body', 'text/plain', Buffer.from('x')]] }]);
  assert.equal((await worker.read()).header['t'], 'item');
  assert.equal((await worker.results())[0]!.body.toString(), '> x');
  assert.match(worker.output, /secret detail/);
});

test('a cancel frame aborts the signal of its row while the handler runs', async () => {
  await using worker = await startHandler(HANDLER);
  await worker.read();
  worker.run(1, [{ parts: [['body', 'text/plain', Buffer.from('wait')]] }]);
  worker.send({ t: 'cancel', b: 1, i: [0] });
  assert.equal((await worker.read()).header['t'], 'item');
  assert.equal((await worker.results())[0]!.body.toString(), '> wait');
});

test('a body of several megabytes arrives whole', async () => {
  await using worker = await startHandler('export const handle = (data) => data.map((row) => row.body);');
  await worker.read();
  const body = Buffer.alloc(6_000_000, 'davy');
  worker.run(1, [{ parts: [['body', null, body]] }]);
  assert.ok((await worker.results())[0]!.body.equals(body));
});

test('one exported class is a handler, and a handler outside the archive is refused', async () => {
  await using worker = await startHandler('export class Echo { handle(data) { return data.map(() => null); } }');
  assert.equal((await worker.read()).header['t'], 'loaded');
  await using outside = await startHandler('', '../elsewhere.ts');
  const { header } = await outside.read();
  assert.equal(header['t'], 'failed');
});
