// Admission of one large safetensors archive against hashing it twice, and what it does to the event loop meanwhile.
//
//   node bench/admission.ts [MEGABYTES]      default 1024
//
// Prints the best of three rounds each. "lag" is the longest the event loop was late while the work ran: what a prediction
// that arrives in the worst moment waits. On a machine with neighbours compare it with the lag of the idle row.
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ZipFile } from 'yazl';
import { AdmissionThreads, createModelStore } from '../src/store/index.ts';

const MIB = 1024 * 1024;
const ROUNDS = 3;
const megabytes = Number(process.argv[2] ?? 1024);
const directory = await mkdtemp(join(tmpdir(), 'davy-bench-admission-'));

try {
  const models = join(directory, 'models');
  await mkdir(models);
  await writeModel(join(models, 'large.mar'));
  const threads = new AdmissionThreads();
  const store = await createModelStore({
    modelStores: [models],
    stateDir: join(directory, 'state'),
    allowedUrls: [],
    inspect: async (files, signal) => ({ isAllowed: true, findings: await threads.inspect(files, signal) }),
    threads,
  });
  const { signal } = new AbortController();
  const rows: Row[] = [];
  await hash(join(models, 'large.mar'));
  for (let round = 0; round < ROUNDS; round++) {
    rows.push(await measure('idle', () => new Promise((resolve) => setTimeout(resolve, 1000))));
    rows.push(
      await measure('hash twice', async () => {
        for (let pass = 0; pass < 2; pass++) await hash(join(models, 'large.mar'));
      }),
    );
    rows.push(
      await measure('admission', async () => {
        await store.release(await store.admit('large.mar', signal));
      }),
    );
  }
  report(rows);
} finally {
  await rm(directory, { recursive: true, force: true });
}

interface Row {
  readonly name: string;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Milliseconds. */
  readonly worstLag: number;
  readonly lag99: number;
  /** Bytes above what was resident before. */
  readonly extraBytes: number;
}

async function measure(name: string, work: () => Promise<void>): Promise<Row> {
  const lag = monitorEventLoopDelay({ resolution: 1 });
  const resident = process.memoryUsage.rss();
  let peak = resident;
  const sampler = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 10);
  const cpu = process.cpuUsage();
  lag.enable();
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1000;
  lag.disable();
  clearInterval(sampler);
  const { user, system } = process.cpuUsage(cpu);
  return {
    name,
    seconds,
    cpuSeconds: (user + system) / 1e6,
    worstLag: lag.max / 1e6,
    lag99: lag.percentile(99) / 1e6,
    extraBytes: peak - resident,
  };
}

function report(rows: readonly Row[]): void {
  const best = (name: string): Row =>
    rows.filter((row) => row.name === name).toSorted((a, b) => a.seconds - b.seconds)[0] as Row;
  for (const { name, seconds, cpuSeconds, worstLag, lag99, extraBytes } of ['idle', 'hash twice', 'admission'].map(
    best,
  )) {
    process.stdout.write(
      `${name.padEnd(12)} ${seconds.toFixed(2)} s  cpu ${cpuSeconds.toFixed(2)} s  lag p99 ${lag99.toFixed(1)} ms, ` +
        `worst ${worstLag.toFixed(1)} ms  memory +${(extraBytes / MIB).toFixed(0)} MiB\n`,
    );
  }
  process.stdout.write(
    `admission / hash twice = ${(best('admission').seconds / best('hash twice').seconds).toFixed(2)} (target 1.50)\n`,
  );
}

async function hash(path: string): Promise<void> {
  await using handle = await open(path);
  const digest = createHash('sha256');
  for await (const piece of handle.createReadStream({ autoClose: false, start: 0, highWaterMark: MIB }))
    digest.update(piece as Buffer);
  digest.digest();
}

/** A `.mar` with one stored safetensors file, as `davy archive` writes large weights. */
async function writeModel(path: string): Promise<void> {
  const bytes = megabytes * MIB;
  const header = Buffer.from(`{"x":{"dtype":"U8","shape":[${bytes}],"data_offsets":[0,${bytes}]}}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const zip = new ZipFile();
  const manifest = {
    runtime: 'python',
    model: { modelName: 'large', modelVersion: '1.0', serializedFile: 'w.safetensors', handler: 'image_classifier' },
  };
  zip.addBuffer(Buffer.from(JSON.stringify(manifest)), 'MAR-INF/MANIFEST.json');
  zip.addReadStream(Readable.from(chunks(Buffer.concat([length, header]), bytes)), 'w.safetensors', {
    compress: false,
    size: 8 + header.length + bytes,
  });
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
}

function* chunks(head: Buffer, bytes: number): Generator<Buffer> {
  yield head;
  const chunk = Buffer.alloc(MIB, 'tensor data');
  for (let at = 0; at < bytes; at += MIB) yield chunk;
}
