import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { buildTar, buildTarGz, pax, type TarPart } from '../../test/attack/archives.ts';
import { Fault } from '../kernel/index.ts';
import { DEFAULT_CONTAINER_LIMITS as LIMITS, gunzip, memoryAccess, readTarIndex, readWhole } from './index.ts';

const MIB = 1024 * 1024;

async function unpackTar(bytes: Buffer): Promise<Record<string, string>> {
  const source = memoryAccess(bytes);
  const { members } = await readTarIndex(source, LIMITS);
  const contents: Record<string, string> = {};
  for (const member of members) contents[member.name] = (await readWhole(source, member, MIB)).toString();
  return contents;
}

const inflate = async (bytes: Buffer, limits = LIMITS): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(gunzip(memoryAccess(bytes), limits)));

const isRefusal = (thrown: unknown): boolean => thrown instanceof Fault && thrown.code === 'archive_refused';

test('the first path component of every entry is dropped, and a file without one keeps its name', async () => {
  const parts: TarPart[] = [
    { name: 'm/', type: '5' },
    { name: 'm/MAR-INF/MANIFEST.json', data: '{}' },
    { name: './h.py', data: 'x' },
    { name: 'top.py', data: 'y' },
  ];
  assert.deepEqual(await unpackTar(buildTar(parts)), { 'MAR-INF/MANIFEST.json': '{}', 'h.py': 'x', 'top.py': 'y' });
});

test('pax paths, GNU long names and ustar prefixes name the entry they belong to', async () => {
  const parts: TarPart[] = [
    pax({ path: 'm/pax-é', mtime: '1.5' }),
    { name: 'm/short', data: '1' },
    { name: '././@LongLink', type: 'L', data: `m/${'l'.repeat(120)}\0` },
    { name: 'm/lll', data: '2' },
    { name: 'tail', prefix: 'm/dir', data: '3' },
  ];
  assert.deepEqual(await unpackTar(buildTar(parts)), { 'pax-é': '1', [`${'l'.repeat(120)}`]: '2', 'dir/tail': '3' });
});

const f: TarPart = { name: 'm/f', data: 'data' };
const bad: Readonly<Record<string, Buffer>> = {
  'a symlink': buildTar([{ name: 'm/l', type: '2', linkName: '/etc/passwd' }]),
  'a hard link': buildTar([{ name: 'm/l', type: '1', linkName: 'm/f' }]),
  'a device': buildTar([{ name: 'm/l', type: '3' }]),
  'a fifo': buildTar([{ name: 'm/l', type: '6' }]),
  'a contiguous file': buildTar([{ name: 'm/l', type: '7' }]),
  'a sparse file': buildTar([{ name: 'm/l', type: 'S' }]),
  'a long link name': buildTar([{ name: 'x', type: 'K', data: 'evil\0' }, f]),
  'a pax link': buildTar([pax({ linkpath: '/etc' }), f]),
  'a pax sparse map': buildTar([pax({ 'GNU.sparse.major': '1' }), f]),
  'a global path': buildTar([pax({ path: 'm/evil' }, 'g'), f]),
  'a pax size that is no number': buildTar([pax({ size: '-1' }), f]),
  'two names for one member': buildTar([pax({ path: 'm/a' }), pax({ path: 'm/b' }), f]),
  'an unused extension': buildTar([f, pax({ path: 'm/a' })]),
  traversal: buildTar([{ name: 'm/../../evil', data: 'x' }]),
  'traversal by the dropped component': buildTar([{ name: '../evil', data: 'x' }]),
  'traversal behind the dropped component': buildTar([{ name: 'm/..', data: 'x' }]),
  'an absolute name': buildTar([{ name: '/etc/x', data: 'x' }]),
  'an absolute name behind the dropped component': buildTar([{ name: 'm//etc/x', data: 'x' }]),
  'a name that is a file and a directory': buildTar([f, { name: 'm/f/x', data: 'x' }]),
  'one name from two components': buildTar([f, { name: 'n/f', data: 'x' }]),
  'a file with a slash': buildTar([{ name: 'm/f/', data: 'x' }]),
  'a name with bytes after its NUL': buildTar([{ name: Buffer.from('m/f\0evil'), data: 'x' }]),
  'a name that is not UTF-8': buildTar([{ name: Buffer.from([0x6d, 0x2f, 0xff]), data: 'x' }]),
  'a setuid file': buildTar([{ ...f, mode: 0o4755 }]),
  'a wrong checksum': buildTar([{ ...f, checksum: 7 }]),
  'a size beyond the end': buildTar([{ ...f, size: 100_000 }]),
  'data after the end blocks': buildTar([f], Buffer.concat([Buffer.alloc(1024), Buffer.from('hidden')])),
  'an entry after the end blocks': Buffer.concat([buildTar([f]), buildTar([{ name: 'm/g', data: 'x' }])]),
  'no end blocks': buildTar([f], Buffer.alloc(0)),
  'text instead of a tar': Buffer.alloc(2048, 'x'),
  nothing: Buffer.alloc(0),
};

test('a tar with anything but plain files and directories is refused', async () => {
  for (const [what, bytes] of Object.entries(bad)) await assert.rejects(unpackTar(bytes), isRefusal, what);
});

test('flipping bytes of a tar is refused or changes only what tar has no checksum for', async () => {
  const good = buildTar([{ name: 'm/d/', type: '5' }, pax({ path: 'm/long' }), f, { name: 'm/g', data: 'g' }]);
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
      const bytes = Buffer.from(good);
      bytes[at]! ^= mask;
      const outcome = await unpackTar(bytes).catch((thrown: unknown) => thrown);
      if (outcome instanceof Error) assert.ok(isRefusal(outcome), String(outcome.stack));
    }),
    { numRuns: 400 },
  );
});

test('gzip round trips, with and without a file name in its header', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), fc.integer({ min: 0, max: 9 }), async (data, level) => {
      assert.deepEqual(await inflate(gzipSync(data, { level })), Buffer.from(data));
    }),
    { numRuns: 50 },
  );
  const plain = gzipSync('hello');
  const named = Buffer.concat([plain.subarray(0, 3), Buffer.from([8]), plain.subarray(4, 10), Buffer.from('x.tar\0')]);
  assert.equal(String(await inflate(Buffer.concat([named, plain.subarray(10)]))), 'hello');
});

test('gzip with a second member, trailing bytes, damage or a lie about its length is refused', async () => {
  const one = gzipSync('one');
  const cases = [
    Buffer.concat([one, gzipSync('two')]),
    Buffer.concat([one, Buffer.from('junk')]),
    Buffer.concat([one, Buffer.alloc(1)]),
    one.subarray(0, -1),
    one.subarray(0, 12),
    Buffer.concat([one.subarray(0, -8), Buffer.alloc(8)]),
    Buffer.concat([one.subarray(0, -4), Buffer.alloc(4)]),
    deflateRawSync('one'),
    Buffer.from('plain text, no gzip'),
    Buffer.alloc(0),
  ];
  for (const [index, bytes] of cases.entries()) await assert.rejects(inflate(bytes), isRefusal, `case ${index}`);
});

test('a gzip bomb is stopped by counting', async () => {
  const limits = { ...LIMITS, ratioFloorBytes: MIB, maxEntries: 1 };
  await assert.rejects(inflate(gzipSync(Buffer.alloc(2 * MIB)), limits), isRefusal);
});

test('flipping bytes of a tar.gz never crashes and never gives other contents', async () => {
  const good = buildTarGz([f, { name: 'm/g', data: 'more data' }]);
  const tar = await inflate(good);
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
      const bytes = Buffer.from(good);
      bytes[at]! ^= mask;
      const outcome = await inflate(bytes).catch((thrown: unknown) => thrown);
      if (outcome instanceof Error) assert.ok(isRefusal(outcome), String(outcome.stack));
      else assert.ok(tar.equals(outcome as Buffer));
    }),
    { numRuns: 200 },
  );
});
