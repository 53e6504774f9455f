import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { memoryAccess, type RandomAccess } from '../../archive/index.ts';
import { Fault } from '../../kernel/index.ts';
import { HashedAccess } from './hashed-access.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const isRefusal = (thrown: unknown): boolean => thrown instanceof Fault && thrown.code === 'archive_refused';

/** Answers from `before` until told otherwise, then from `after`. */
function changing(before: Uint8Array, after: Uint8Array): RandomAccess & { change(): void } {
  let current = before;
  return {
    size: before.length,
    read: async (offset, length) => current.subarray(offset, offset + length),
    change: () => void (current = after),
  };
}

test('the digest is that of the whole file, whatever index was read first and whatever was skipped', async () => {
  const range = fc.tuple(fc.nat(300), fc.nat(120));
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 400 }),
      fc.array(range),
      fc.array(range),
      async (file, index, content) => {
        const hashed = new HashedAccess(memoryAccess(file));
        for (const [offset, length] of index) await hashed.read(offset, length);
        hashed.beginStreaming();
        let at = 0;
        for (const [skip, length] of content) {
          at += skip % 40;
          at += (await hashed.read(Math.min(at, file.length), length)).length;
        }
        assert.equal(await hashed.digest(), sha256(file));
      },
    ),
    { numRuns: 200 },
  );
});

test('a header may be read again in front of the content that follows it', async () => {
  const file = randomBytes(500_000);
  const hashed = new HashedAccess(memoryAccess(file));
  hashed.beginStreaming();
  await hashed.read(0, 4096);
  await hashed.read(10, 300_000);
  await hashed.read(300_010, 190_000);
  assert.equal(await hashed.digest(), sha256(file));
});

test('bytes that are different when they are read again are refused', async () => {
  const [before, after] = [Buffer.alloc(100_000, 1), Buffer.alloc(100_000, 2)];
  const again = changing(before, after);
  const index = new HashedAccess(again);
  await index.read(0, 30);
  again.change();
  await index.read(0, 60);
  assert.throws(() => index.beginStreaming(), isRefusal);

  const content = changing(before, after);
  const streamed = new HashedAccess(content);
  await streamed.read(50_000, 100);
  streamed.beginStreaming();
  content.change();
  await assert.rejects(streamed.read(0, 100_000), isRefusal);
});

test('content that was changed after it was read has the digest of what was read', async () => {
  const [before, after] = [Buffer.alloc(100_000, 1), Buffer.alloc(100_000, 2)];
  const source = changing(before, after);
  const hashed = new HashedAccess(source);
  hashed.beginStreaming();
  await hashed.read(0, 100_000);
  source.change();
  assert.equal(await hashed.digest(), sha256(before));
});

test('content is not read twice', async () => {
  const hashed = new HashedAccess(memoryAccess(randomBytes(300_000)));
  hashed.beginStreaming();
  await hashed.read(0, 200_000);
  await assert.rejects(hashed.read(100_000, 10), isRefusal);
});
