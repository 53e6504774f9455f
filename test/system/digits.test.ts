import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { encode } from 'fast-png';
import { DIGITS_VARIANTS, buildDigitsArchive } from '../../examples/digits/build.ts';
import { type RealServer, startRealServer } from '../support/real-server.ts';

const DIGITS = join(import.meta.dirname, '..', '..', 'examples', 'digits');
const LEAST_ACCURACY = 0.97;
const AT_ONCE = 24;

interface HeldOut {
  readonly labels: readonly number[];
  readonly images: readonly string[];
}

const heldOut = JSON.parse(readFileSync(join(DIGITS, 'held-out.json'), 'utf8')) as HeldOut;
const names = JSON.parse(readFileSync(join(DIGITS, 'index_to_name.json'), 'utf8')) as Record<string, string>;
const pngs = heldOut.images.map((hex) =>
  encode({ width: 8, height: 8, channels: 1, depth: 8, data: Buffer.from(hex, 'hex') }),
);

test('ONNX, safetensors and TorchScript archives of one network predict the same class for every held-out digit', async (t) => {
  const store = mkdtempSync(join(tmpdir(), 'davy-digits-'));
  t.after(() => rmSync(store, { recursive: true, force: true }));
  for (const variant of DIGITS_VARIANTS) await buildDigitsArchive(variant, store);
  const models = DIGITS_VARIANTS.map((variant) => `${variant}=${variant}.mar`);
  await using server = await startRealServer({ modelStore: store, models });

  const [onnx, ...others] = await Promise.all(DIGITS_VARIANTS.map((variant) => predictAll(server, variant)));
  const correct = onnx!.filter((label, index) => label === names[heldOut.labels[index]!]).length;
  assert.ok(correct / pngs.length >= LEAST_ACCURACY, `${correct} of ${pngs.length} are right`);
  for (const labels of others) assert.deepEqual(labels, onnx);
});

/** The best label for every image, asked for in waves so that batches form. */
async function predictAll(server: RealServer, model: string): Promise<string[]> {
  const labels: string[] = [];
  for (let from = 0; from < pngs.length; from += AT_ONCE) {
    const wave = pngs.slice(from, from + AT_ONCE).map(async (png) => {
      const response = await server.predict(model, png, { 'content-type': 'image/png' });
      const text = await response.text();
      assert.equal(response.status, 200, `${model}: ${text}\n${server.output()}`);
      return Object.keys(JSON.parse(text) as object)[0]!;
    });
    labels.push(...(await Promise.all(wave)));
  }
  return labels;
}
