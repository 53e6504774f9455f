import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32, deflateRawSync } from 'node:zlib';
import * as fc from 'fast-check';
import yazl from 'yazl';
import { buildZip, descriptor, overlappingBomb, SYMLINK, zipExtra, type ZipPart } from '../../test/attack/archives.ts';
import { Fault } from '../kernel/index.ts';
import { DEFAULT_CONTAINER_LIMITS as LIMITS, memoryAccess, readWhole, readZipIndex } from './index.ts';

const MIB = 1024 * 1024;

async function unpack(bytes: Buffer): Promise<Record<string, string>> {
  const source = memoryAccess(bytes);
  const { members } = await readZipIndex(source, LIMITS);
  const contents: Record<string, string> = {};
  for (const member of members) contents[member.name] = (await readWhole(source, member, 400 * MIB)).toString('latin1');
  return contents;
}

const isRefusal = (thrown: unknown): boolean => thrown instanceof Fault && thrown.code === 'archive_refused';

test('an honest archive gives its files back, stored and deflated, and directories only by name', async () => {
  const bytes = buildZip([{ name: 'd/' }, { name: 'd/é.txt', data: 'hi' }, { name: 'w.bin', data: 'raw', method: 0 }]);
  assert.deepEqual(await unpack(bytes), { 'd/é.txt': Buffer.from('hi').toString('latin1'), 'w.bin': 'raw' });
});

test('an archive without members is an empty archive', async () => {
  assert.deepEqual(await unpack(buildZip([])), {});
});

test('data descriptors of all four forms are understood', async () => {
  const data = Buffer.from('hello hello hello');
  const packed = deflateRawSync(data);
  for (const [hasSignature, isWide] of [
    [true, false],
    [false, false],
    [true, true],
    [false, true],
  ] as const) {
    const after = descriptor(crc32(data), packed.length, data.length, hasSignature, isWide);
    const part: ZipPart = { name: 'a', data, flags: 0x0808, localCrc: 0, localSize: 0, after };
    assert.deepEqual(await unpack(buildZip([part, { name: 'b', data: 'x' }])), { a: data.toString(), b: 'x' });
  }
});

test('a Zip64 end record that agrees is accepted', async () => {
  assert.deepEqual(await unpack(buildZip([{ name: 'a', data: 'x' }], { zip64: {} })), { a: 'x' });
});

test('what yazl writes is read back, whatever the content', async () => {
  const contents = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.uint8Array({ maxLength: 300 }), { maxKeys: 4 });
  await fc.assert(
    fc.asyncProperty(contents, fc.boolean(), async (files, compress) => {
      const zip = new yazl.ZipFile();
      for (const [name, data] of Object.entries(files)) zip.addBuffer(Buffer.from(data), `dir/${name}`, { compress });
      zip.end();
      const written = Buffer.concat(await Array.fromAsync(zip.outputStream as AsyncIterable<Buffer>));
      const expected = Object.entries(files).map(([name, data]) => [
        `dir/${name}`,
        Buffer.from(data).toString('latin1'),
      ]);
      assert.deepEqual(await unpack(written), Object.fromEntries(expected));
    }),
    { numRuns: 25 },
  );
});

const badNames: readonly (string | Buffer)[] = [
  '../../evil',
  '..',
  './x',
  '.',
  './../x',
  'a/../../evil',
  'a/..',
  'a//b',
  '/abs/evil',
  '//x',
  '',
  '/',
  '..\\..\\evil',
  'C:\\evil',
  'C:evil',
  'a\0b',
  'a\r\nb',
  'a\x7f',
  'a\u0085b',
  'a\u202eb',
  'a\u200bb',
  'trailing.',
  'trailing ',
  ' leading',
  'dir./x',
  'x'.repeat(5000),
  'x'.repeat(256),
  'a/'.repeat(10_000),
  `${'d/'.repeat(16)}x`,
  Buffer.from([0x61, 0xff, 0xfe]),
  Buffer.from([0xc0, 0xae, 0xc0, 0xae, 0x2f, 0x78]),
  Buffer.from([0xed, 0xa0, 0x80]),
];

test('every name that is not a plain relative path is refused', async () => {
  for (const name of badNames) {
    await assert.rejects(unpack(buildZip([{ name, data: 'x' }])), isRefusal, String(name).slice(0, 40));
  }
});

test('a name that is neither ASCII nor marked as UTF-8 is refused', async () => {
  await assert.rejects(unpack(buildZip([{ name: 'é', flags: 0 }])), isRefusal);
});

const twoOf = (...names: readonly string[]): Buffer => buildZip(names.map((name) => ({ name, data: 'x', method: 0 })));

test('names that some reader takes for one name are refused', async () => {
  const clashes = [
    ['a', 'a'],
    ['a', 'A'],
    ['é', 'e\u0301'],
    ['ß', 'SS'],
    ['K', '\u212a'],
    ['a', 'a/b'],
    ['a/b', 'a'],
    ['a/b', 'A'],
    ['d/x', 'D/y'],
    ['d/', 'd/'],
    ['a', 'a/'],
    ['a/', 'a'],
    ['ﬁ', 'fi'],
  ];
  for (const names of clashes) await assert.rejects(unpack(twoOf(...names)), isRefusal, names.join(' and '));
});

const x: ZipPart = { name: 'x', data: 'content of x' };
const lies: Readonly<Record<string, Buffer>> = {
  'a symlink': buildZip([{ ...x, mode: SYMLINK }]),
  'a device': buildZip([{ ...x, mode: 0o020644 }]),
  'a fifo': buildZip([{ ...x, mode: 0o010644 }]),
  'a socket': buildZip([{ ...x, mode: 0o140644 }]),
  'a setuid file': buildZip([{ ...x, mode: 0o104755 }]),
  'a file with a directory mode': buildZip([{ ...x, mode: 0o040755 }]),
  'a file with the DOS directory bit': buildZip([{ ...x, attributes: 0x10 }]),
  'a directory with content': buildZip([{ name: 'd/', data: 'x', method: 0 }]),
  'another local name': buildZip([{ ...x, localName: 'y' }]),
  'another local name length': buildZip([{ ...x, localName: 'yy' }]),
  'another local method': buildZip([{ ...x, localMethod: 0 }]),
  'other local flags': buildZip([{ ...x, localFlags: 0 }]),
  'another local size': buildZip([{ ...x, localSize: 3 }]),
  'another local CRC': buildZip([{ ...x, localCrc: 3 }]),
  'an encrypted member': buildZip([{ ...x, flags: 0x0801 }]),
  'strong encryption': buildZip([{ ...x, flags: 0x0840 }]),
  'patched data': buildZip([{ ...x, flags: 0x0820 }]),
  'masked headers': buildZip([{ ...x, flags: 0x2800 }]),
  'an AES extra field': buildZip([{ ...x, centralExtra: zipExtra(0x9901, Buffer.alloc(7)) }]),
  'a Unicode path extra field': buildZip([{ ...x, localExtra: zipExtra(0x7075, Buffer.from('12345evil')) }]),
  'a malformed extra field': buildZip([{ ...x, centralExtra: Buffer.from([1, 0, 9]) }]),
  'a member comment': buildZip([{ ...x, comment: 'hi' }]),
  'an archive comment': buildZip([x], { comment: 'hi' }),
  'bytes before the first member': buildZip([x], { prefix: Buffer.from('%PDF-1.7\n') }),
  'bytes after the end': buildZip([x], { suffix: Buffer.from('junk') }),
  'bytes before the directory': buildZip([x], { beforeDirectory: Buffer.from('junk') }),
  'bytes between members': buildZip([
    { ...x, after: Buffer.from('junk') },
    { name: 'y', data: 'y' },
  ]),
  'a member hidden from the directory': buildZip([
    { ...x, isHidden: true },
    { name: 'y', data: 'y' },
  ]),
  'a member hidden at the end': buildZip([
    { name: 'y', data: 'y' },
    { ...x, isHidden: true },
  ]),
  'two entries for the same bytes': buildZip([x, { ...x, name: 'y', localOffset: 0 }]),
  'overlapping members': overlappingBomb(),
  'a missing data descriptor': buildZip([{ ...x, flags: 0x0808 }]),
  'a wrong data descriptor': buildZip([{ ...x, flags: 0x0808, after: descriptor(1, 2, 3) }]),
  'a multi-disk archive': buildZip([x], { disk: 1 }),
  'fewer members than counted': buildZip([x], { entries: 2 }),
  'more members than counted': buildZip([x, { name: 'y' }], { entries: 1 }),
  'a wrong directory offset': buildZip([x], { directoryOffset: 1 }),
  'a wrong directory size': buildZip([x], { directorySize: 1 }),
  'a Zip64 record with another count': buildZip([x], { zip64: { entries: 2 } }),
  'a Zip64 record with another offset': buildZip([x], { zip64: { offset: 0 } }),
  'a Zip64 record with another size': buildZip([x], { zip64: { size: 9 } }),
  'a million members': buildZip([], { entries: 65535, zip64: { entries: 1_000_000 } }),
  'a wrong CRC': buildZip([{ ...x, crc: 1 }]),
  'a declared size that is too small': buildZip([{ ...x, size: 3 }]),
  'a declared size that is too large': buildZip([{ ...x, size: 300 }]),
  'a stored member with two sizes': buildZip([{ ...x, method: 0, size: 3 }]),
  'data after the deflate stream': buildZip([
    { ...x, payload: Buffer.concat([deflateRawSync(Buffer.from('content of x')), Buffer.from('hidden')]) },
  ]),
  'a damaged deflate stream': buildZip([{ ...x, payload: Buffer.from('garbage!') }]),
  'a truncated archive': buildZip([x]).subarray(0, -1),
  'an archive without its first byte': buildZip([x]).subarray(1),
  'no archive at all': Buffer.from('<html>SECRET</html>'),
  'an empty file': Buffer.alloc(0),
};
for (const method of [1, 6, 9, 12, 14, 93, 95, 97, 98, 99]) {
  (lies as Record<string, Buffer>)[`compression method ${method}`] = buildZip([
    { ...x, method, payload: Buffer.from('x') },
  ]);
}

test('an archive that says two things about itself, or carries what no writer writes, is refused', async () => {
  for (const [what, bytes] of Object.entries(lies)) await assert.rejects(unpack(bytes), isRefusal, what);
});

test('a bomb is refused by its declared size before anything is unpacked', async () => {
  const bomb = buildZip([{ name: 'zeros', data: Buffer.alloc(2 * MIB) }]);
  await assert.rejects(readZipIndex(memoryAccess(bomb), { ...LIMITS, ratioFloorBytes: MIB }), isRefusal);
  await readZipIndex(memoryAccess(bomb), { ...LIMITS, ratioFloorBytes: 2 * MIB });
});

test('a bomb that understates its size is stopped by counting', async () => {
  const zeros = Buffer.alloc(8 * MIB);
  const source = memoryAccess(buildZip([{ name: 'zeros', data: zeros, size: 1000 }]));
  const { members } = await readZipIndex(source, LIMITS);
  await assert.rejects(readWhole(source, members[0]!, MIB), isRefusal);
});

test('limits on members and their sizes hold to the byte', async () => {
  const three = twoOf('a', 'b', 'c');
  await readZipIndex(memoryAccess(three), { ...LIMITS, maxEntries: 3 });
  await assert.rejects(readZipIndex(memoryAccess(three), { ...LIMITS, maxEntries: 2 }), isRefusal);
  await readZipIndex(memoryAccess(three), { ...LIMITS, maxMemberBytes: 1, maxTotalBytes: 3 });
  await assert.rejects(readZipIndex(memoryAccess(three), { ...LIMITS, maxMemberBytes: 0 }), isRefusal);
  await assert.rejects(readZipIndex(memoryAccess(three), { ...LIMITS, maxTotalBytes: 2 }), isRefusal);
});

test('flipping bytes of an archive is refused or changes nothing that is read', async () => {
  const good = buildZip([{ name: 'dir/' }, { name: 'dir/a', data: 'first content' }, { ...x, method: 0 }], {
    zip64: {},
  });
  const expected = await unpack(good);
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
      const bytes = Buffer.from(good);
      bytes[at]! ^= mask;
      const outcome = await unpack(bytes).catch((thrown: unknown) => thrown);
      if (outcome instanceof Error) assert.ok(isRefusal(outcome), String(outcome.stack));
      else assert.deepEqual(outcome, expected);
    }),
    { numRuns: 600 },
  );
});

test('arbitrary bytes and truncations are refused, never crash', async () => {
  const good = buildZip([x, { name: 'y', data: 'y' }]);
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.uint8Array({ maxLength: 60 }), async (length, tail) => {
      const bytes = Buffer.concat([good.subarray(0, length), Buffer.from(tail)]);
      if (!bytes.equals(good)) await assert.rejects(unpack(bytes), isRefusal);
    }),
    { numRuns: 200 },
  );
});
