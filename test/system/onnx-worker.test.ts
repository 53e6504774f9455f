import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { encode } from 'fast-png';
import { WorkerProcess } from '../support/worker-process.ts';

const DIGITS = join(import.meta.dirname, '..', '..', 'examples', 'digits');
const heldOut = JSON.parse(readFileSync(join(DIGITS, 'held-out.json'), 'utf8')) as {
  labels: number[];
  images: string[];
};
const names = JSON.parse(readFileSync(join(DIGITS, 'index_to_name.json'), 'utf8')) as Record<string, string>;
const MODEL = {
  dir: DIGITS,
  manifest: { runtime: 'onnx', model: { modelName: 'digits', serializedFile: 'digits.onnx' } },
  config: parse(readFileSync(join(DIGITS, 'model-config.yaml'), 'utf8')) as object,
};

const pixels = (index: number): Buffer => Buffer.from(heldOut.images[index]!, 'hex');
const rows = (index: number): number[][] =>
  Array.from({ length: 8 }, (_, y) => Array.from(pixels(index).subarray(y * 8, y * 8 + 8), (byte) => byte / 255));
const raw = (index: number): Buffer => Buffer.from(Float32Array.from(pixels(index), (byte) => byte / 255).buffer);
const png = (index: number): Uint8Array => encode({ width: 8, height: 8, data: pixels(index), channels: 1, depth: 8 });
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const best = (body: Buffer): string => Object.keys(JSON.parse(body.toString()) as object)[0]!;
const nameOf = (index: number): string => names[heldOut.labels[index]!]!;

async function startDigits(): Promise<WorkerProcess> {
  const worker = new WorkerProcess('onnx');
  assert.equal((await worker.read()).header['t'], 'hello');
  worker.load(MODEL);
  const { header } = await worker.read();
  assert.equal(header['t'], 'loaded', worker.output);
  assert.deepEqual(header['inputs'], [{ name: 'image', datatype: 'FP32', shape: [-1, 1, 8, 8] }]);
  assert.deepEqual(header['outputs'], [{ name: 'logits', datatype: 'FP32', shape: [-1, 10] }]);
  return worker;
}

test('the ONNX worker answers images, JSON, Open Inference and raw tensors of one batch alike, and fails a bad item alone', async () => {
  await using worker = await startDigits();
  const openInference = {
    id: 'abc',
    inputs: [{ name: 'image', shape: [1, 1, 8, 8], datatype: 'FP32', data: rows(0).flat() }],
  };
  worker.run(1, [
    { parts: [['body', null, png(0)]] },
    { parts: [['body', 'application/json', json(rows(0))]] },
    { parts: [['body', 'application/json', json({ instances: [[rows(0)], [rows(1)]] })]] },
    { parts: [['body', 'application/octet-stream', raw(0)]] },
    { parts: [['body', 'application/json', json(openInference)]] },
    { parts: [['body', 'application/json', Buffer.from('{"instances":')]] },
    { parts: [['body', 'image/png', Buffer.from('not an image')]] },
    { parts: [['body', 'application/json', json({ data: [[1, 2], [3]] })]] },
  ]);
  const results = await worker.results();
  assert.equal(best(results[0]!.body), nameOf(0));
  assert.deepEqual(JSON.parse(results[1]!.body.toString()), JSON.parse(results[0]!.body.toString()));
  const { predictions } = JSON.parse(results[2]!.body.toString()) as { predictions: object[] };
  assert.deepEqual(
    predictions.map((row) => Object.keys(row)[0]),
    [nameOf(0), nameOf(1)],
  );
  const [fromRaw] = JSON.parse(results[3]!.body.toString()) as [object];
  assert.equal(Object.keys(fromRaw)[0], nameOf(0));
  const answer = JSON.parse(results[4]!.body.toString()) as {
    id: string;
    outputs: [{ shape: number[]; data: number[] }];
  };
  assert.equal(answer.id, 'abc');
  assert.deepEqual(answer.outputs[0].shape, [1, 10]);
  assert.equal(answer.outputs[0].data.indexOf(Math.max(...answer.outputs[0].data)), heldOut.labels[0]);
  for (const index of [5, 6, 7]) assert.equal(results[index]!.meta['e'][0], 400);
});

test('the ONNX worker recognises at least 97 % of the held-out digits', async () => {
  await using worker = await startDigits();
  const order = [...heldOut.labels.keys()];
  let correct = 0;
  for (let from = 0; from < order.length; from += 60) {
    const chosen = order.slice(from, from + 60);
    worker.run(
      from,
      chosen.map((index) => ({ parts: [['body', null, png(index)]] })),
    );
    for (const [at, { body }] of (await worker.results()).entries()) if (best(body) === nameOf(chosen[at]!)) correct++;
  }
  assert.ok(correct / order.length >= 0.97, `${correct} of ${order.length}`);
});

test('an image that claims more pixels than allowed is refused before it is decoded', async () => {
  await using worker = await startDigits();
  const bomb = Buffer.from(png(0));
  bomb.writeUInt32BE(60_000, 16);
  bomb.writeUInt32BE(60_000, 20);
  worker.run(1, [{ parts: [['body', null, bomb]] }, { parts: [['body', null, png(1)]] }]);
  const [refused, served] = await worker.results();
  assert.equal(refused!.meta['e'][0], 400);
  assert.equal(best(served!.body), nameOf(1));
});

test('the ONNX worker finishes what it has and exits 0 when told to stop', async () => {
  await using worker = await startDigits();
  worker.run(1, [{ parts: [['body', null, png(0)]] }]);
  worker.run(2, [{ parts: [['body', null, png(1)]] }]);
  worker.send({ t: 'stop' });
  assert.equal((await worker.results()).length, 1);
  assert.equal((await worker.results()).length, 1);
  assert.equal(await worker.exit(), 0);
});

test('a model file that is no ONNX model fails the load with its reason', async () => {
  await using worker = new WorkerProcess('onnx');
  await worker.read();
  worker.load({ ...MODEL, manifest: { model: { serializedFile: 'train.py' } } });
  const { header } = await worker.read();
  assert.equal(header['t'], 'failed');
  assert.equal(header['code'], 500);
  assert.equal(await worker.exit(), 1);
});
