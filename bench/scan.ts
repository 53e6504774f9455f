// Speed of `davy scan` on tensor data: megabytes a second of one core, beside the floor of reading and summing the same bytes.
//
//   node bench/scan.ts [MEGABYTES]      default 512
import { createHash } from 'node:crypto';
import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { ZipFile } from 'yazl';
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { listTargets } from '../src/app/scan/list-targets.ts';
import { scanFile } from '../src/app/scan/scan-paths.ts';

const MIB = 1024 * 1024;
const ROUNDS = 3;
const megabytes = Number(process.argv[2] ?? 512);
const directory = await mkdtemp(join(tmpdir(), 'davy-bench-scan-'));

try {
  const files = [await torchCheckpoint(), await safetensors(), await archive()];
  const rows: { name: string; best: number }[] = [];
  rows.push({ name: 'floor: read + crc32', best: await best(files[0] as string, readAndSum) });
  rows.push({ name: 'floor: read + sha256', best: await best(files[0] as string, readAndHash) });
  for (const file of files)
    rows.push({ name: `scan ${file.slice(directory.length + 1)}`, best: await best(file, scan) });
  for (const { name, best: rate } of rows)
    process.stdout.write(`${name.padEnd(28)} ${rate.toFixed(0).padStart(8)} MB/s of CPU time\n`);
} finally {
  await rm(directory, { recursive: true, force: true });
}

/** Megabytes by CPU second, user and system, the best of a few rounds: a core is what a scan costs. */
async function best(path: string, work: (path: string) => Promise<void>): Promise<number> {
  const { size } = await stat(path);
  let rate = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    await work(path);
    const { user, system } = process.cpuUsage(before);
    rate = Math.max(rate, size / (user + system));
  }
  return rate;
}

async function scan(path: string): Promise<void> {
  const [target] = await listTargets(path);
  if (target === undefined) throw new Error(path);
  const { verdict, findings } = await scanFile(target, new AbortController().signal);
  if (verdict !== 'allow') throw new Error(JSON.stringify(findings));
}

async function readAndSum(path: string): Promise<void> {
  let sum = 0;
  for await (const piece of pieces(path)) sum = crc32(piece, sum);
}

async function readAndHash(path: string): Promise<void> {
  const hash = createHash('sha256');
  for await (const piece of pieces(path)) hash.update(piece);
  hash.digest();
}

async function* pieces(path: string): AsyncGenerator<Buffer> {
  await using handle = await open(path);
  const buffer = Buffer.alloc(MIB);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, MIB);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** A zip checkpoint as torch.save lays it out, of stored tensors of 16 MiB. */
async function torchCheckpoint(): Promise<string> {
  const each = 16 * MIB;
  const count = Math.max(1, Math.round((megabytes * MIB) / each));
  const zip = new ZipFile();
  const stored = { compress: false };
  zip.addBuffer(pickle(count, each / 4), 'model/data.pkl', stored);
  zip.addBuffer(Buffer.from('3\n'), 'model/version', stored);
  zip.addBuffer(Buffer.from('little'), 'model/byteorder', stored);
  const noise = Buffer.alloc(each, 'tensor data');
  for (let i = 0; i < count; i++) zip.addBuffer(noise, `model/data/${i}`, stored);
  zip.end();
  const path = join(directory, 'checkpoint.pt');
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}

function pickle(count: number, elements: number): Buffer {
  const text = (value: string): Buffer => Buffer.concat([Buffer.from('X'), u32(value.length), Buffer.from(value)]);
  const int = (value: number): Buffer => Buffer.concat([Buffer.from('J'), u32(value)]);
  const one = (index: number): Buffer[] => [
    text(`layer.${index}`),
    Buffer.from('ctorch._utils\n_rebuild_tensor_v2\n(('),
    text('storage'),
    Buffer.from('ctorch\nFloatStorage\n'),
    text(String(index)),
    text('cpu'),
    int(elements),
    Buffer.from('tQK\0'),
    int(elements),
    Buffer.from([0x85, 0x4b, 1, 0x85, 0x89]),
    Buffer.from('ccollections\nOrderedDict\n)RtR'),
  ];
  const items = Array.from({ length: count }, (_, index) => one(index)).flat();
  return Buffer.concat([Buffer.from([0x80, 2, 0x7d, 0x28]), ...items, Buffer.from('u.')]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

async function safetensors(): Promise<string> {
  const bytes = megabytes * MIB;
  const header = Buffer.from(`{"x":{"dtype":"U8","shape":[${bytes}],"data_offsets":[0,${bytes}]}}`);
  const path = join(directory, 'weights.safetensors');
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  await writeFile(path, [length, header]);
  await pipeline(Readable.from(chunks(bytes)), createWriteStream(path, { flags: 'a' }));
  return path;
}

function* chunks(bytes: number): Generator<Buffer> {
  const chunk = Buffer.alloc(MIB, 'tensor data');
  for (let at = 0; at < bytes; at += MIB) yield chunk;
}

/** The checkpoint inside an uncompressed .mar. */
async function archive(): Promise<string> {
  const zip = new ZipFile();
  const manifest = {
    runtime: 'python',
    model: { modelName: 'm', modelVersion: '1.0', serializedFile: 'checkpoint.pt', handler: 'image_classifier' },
  };
  zip.addBuffer(Buffer.from(JSON.stringify(manifest)), 'MAR-INF/MANIFEST.json');
  zip.addFile(join(directory, 'checkpoint.pt'), 'checkpoint.pt', { compress: false });
  zip.end();
  const path = join(directory, 'model.mar');
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}
