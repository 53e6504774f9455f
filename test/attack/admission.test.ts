// The corpus of supply-chain attacks against the inspection: everything malicious denied, everything that real tools write allowed.
//
// Both halves are written at test time by Python scripts beside this file; no payload is ever run. The real unpicklers
// of CPython and torch are the judges of what an admitted stream asks for.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { convertFile } from '../../src/app/scan/convert-file.ts';
import { listTargets } from '../../src/app/scan/list-targets.ts';
import { scanFile, type ScannedFile } from '../../src/app/scan/scan-paths.ts';
import { WEIGHTS_ONLY_GLOBALS, HARMLESS_GLOBALS } from '../../src/archive/content/pickle/globals.ts';
import { interpretPickle } from '../../src/archive/content/pickle/interpret.ts';
import { Refusal } from '../../src/archive/content/refusal.ts';
import { checkSource } from '../../src/archive/content/torchscript-source.ts';
import { Fault } from '../../src/kernel/index.ts';

const PYTHON = process.env['DAVY_PYTHON'];
const CORPUS = join(import.meta.dirname, 'corpus');
const GENERATION_TIMEOUT_MS = 100_000;
/** Far below what the generators write now: a generator that silently stops early must not pass. */
const LEAST_BENIGN = 200;
const LEAST_MALICIOUS = 2300;

const skip = PYTHON === undefined ? 'DAVY_PYTHON is not set: THE ATTACK CORPUS IS NOT TESTED' : false;

async function python(script: string, args: readonly string[], input = ''): Promise<string> {
  const running = promisify(execFile)(PYTHON as string, [join(CORPUS, script), ...args], {
    timeout: GENERATION_TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  });
  running.child.stdin?.end(input);
  return (await running).stdout;
}

describe('the attack corpus', { skip }, () => {
  let root = '';
  const benign = (): string => join(root, 'benign');
  const malicious = (): string => join(root, 'malicious');

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'davy-corpus-'));
    await Promise.all([python('benign.py', [benign()]), python('malicious.py', [malicious()])]);
  });
  after(() => rm(root, { recursive: true, force: true }));

  test('is denied in every container, by every technique', async () => {
    const scanned = await scanAll(malicious());
    assert.ok(scanned.length >= LEAST_MALICIOUS, `only ${scanned.length} files`);
    assert.deepEqual(names(scanned, 'allow', malicious()), []);
    assert.deepEqual(withCode(scanned, 'inspection_failed'), []);
  });

  test('has benign neighbours of every kind, which are all allowed', async () => {
    const scanned = await scanAll(benign());
    assert.ok(scanned.length >= LEAST_BENIGN, `only ${scanned.length} files`);
    const reasons = scanned.filter(({ verdict }) => verdict === 'deny').map((file) => [file.file, file.findings]);
    assert.deepEqual(reasons, []);
  });

  test('holds checkpoints that torch loads without unpickling code exactly when the inspection says so', async () => {
    const checkpoints = (await scanAll(benign())).filter(({ file }) => /\/(torch|legacy)\//.test(file));
    const refused = new Set(withCode(checkpoints, 'pickle_not_weights_only'));
    // torch takes the sizes of this one from storages it has not read yet: whatever lay in memory decides whether it fails.
    const undecided = checkpoints.findIndex(({ file }) => file.endsWith('/legacy/nested.pt'));
    assert.ok(refused.delete(checkpoints.splice(undecided, 1)[0]?.file ?? ''));
    const failures = JSON.parse(
      await python('reference.py', ['load'], JSON.stringify(checkpoints.map(({ file }) => file))),
    );
    assert.deepEqual(Object.keys(failures).toSorted(), [...refused].toSorted(), JSON.stringify(failures, undefined, 1));
  });

  test('converts to safetensors without changing a bit', async () => {
    const out = join(root, 'converted');
    await mkdir(out);
    const pairs: [string, string][] = [];
    for (const { path, name } of await listTargets(join(benign(), 'torch'))) {
      const target = join(out, `${name}.safetensors`);
      const isConverted = await convertFile(path, target, false).then(
        () => true,
        (thrown: unknown) => {
          assert.ok(thrown instanceof Fault && thrown.code === 'archive_refused', String(thrown));
          return false;
        },
      );
      // torch.load(weights_only=True) is the reference, and does not read these.
      if (isConverted && !/protocol-[45]/.test(name)) pairs.push([path, target]);
    }
    assert.ok(pairs.length > 30, `only ${pairs.length} conversions`);
    assert.deepEqual(JSON.parse(await python('reference.py', ['same'], JSON.stringify(pairs))), []);
    assert.deepEqual(names(await scanAll(out), 'deny', out), []);
  });
});

describe('the list of globals', { skip }, () => {
  test('is the list of torch', async () => {
    const real = JSON.parse(await python('reference.py', ['globals'])) as string[];
    assert.deepEqual([...WEIGHTS_ONLY_GLOBALS].toSorted(), real);
  });

  test('holds for every mutated stream that is admitted, as CPython itself sees it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'davy-mutants-'));
    try {
      await python('benign.py', [directory, 'pickles']);
      const admitted = await mutants(directory);
      assert.ok(admitted.length > 500, `only ${admitted.length} mutants were admitted`);
      const path = join(directory, 'mutants');
      await writeFile(path, Buffer.concat(admitted.flatMap((stream) => [lengthPrefix(stream.length), stream])));
      const { asked, streams, completed } = JSON.parse(await python('reference.py', ['asked', path]));
      assert.equal(streams, admitted.length);
      assert.ok(completed > 0);
      const outside = (asked as string[]).filter(
        (name) => !WEIGHTS_ONLY_GLOBALS.has(name) && !HARMLESS_GLOBALS.has(name),
      );
      assert.deepEqual(outside, []);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

describe('the reading of TorchScript', { skip }, () => {
  test('sees every operator that reaches files in what torch itself compiles, however it is spelled', async () => {
    const sources = spellings(600);
    const compiled = JSON.parse(await python('reference.py', ['compiled'], JSON.stringify(sources))) as (
      | string[]
      | null
    )[];
    const dangerous = sources.filter((_, at) => (compiled[at]?.length ?? 0) > 0);
    const harmless = compiled.filter((operators) => operators?.length === 0).length;
    // Both kinds, and enough of them: a generator that writes nonsense proves nothing.
    assert.ok(dangerous.length > 100 && harmless > 50, `${dangerous.length} dangerous, ${harmless} harmless`);
    const missed = dangerous.filter((source) => {
      try {
        checkSource(source, 'code/m.py');
        return true;
      } catch (thrown) {
        assert.ok(thrown instanceof Refusal && thrown.code === 'torchscript_operator', String(thrown));
        return false;
      }
    });
    assert.deepEqual(missed, []);
  });
});

/** Bodies of `forward` that mostly compile: ways to reach an operator, with blanks, comments and strings in between. */
function spellings(count: number): string[] {
  const random = generator(20_261_121);
  const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;
  const gap = (): string => pick(['', '', '', ' ', '\t', '\n', ' # torch.relu(\n', '#"\n', "#'''\n"]);
  const spread = (parts: readonly string[]): string => parts.map((part) => part + gap()).join('');
  const file = ['(', '"f"', ',', 'True', ',', '4', ')'];
  const calls: readonly (readonly string[])[] = [
    ['torch', '.', 'from_file', ...file],
    ['ops', '.', 'aten', '.', 'from_file', ...file],
    ['torch', '.', 'autograd', '.', 'from_file', ...file],
    ['ops', '.', 'quantized', '.', 'autograd', '.', 'from_file', ...file],
    ['getattr', '(', 'torch', ',', '"from_file"', ')', ...file],
    ['getattr', '(', 'ops', '.', 'aten', ',', '"from_file"', ')', ...file],
    ['(', 'torch', ')', '.', 'from_file', ...file],
    ['t', '.', 'from_file', ...file],
    ['o', '.', 'aten', '.', 'from_file', ...file],
    ['f', ...file],
    ['torch', '.', 'relu', '(', 'input', ')'],
    ['torch', '.', 'add', '(', 'input', ',', '1', ')'],
    ['ops', '.', 'aten', '.', 'relu', '(', 'input', ')'],
  ];
  const aliases = new Map([
    ['t', 't = torch'],
    ['o', 'o = ops'],
    ['f', 'f = torch.from_file'],
  ]);
  const texts = ['"torch"', "'#'", `"""ops.evil.run ' """`, String.raw`'\''`, String.raw`"a\\"`, String.raw`"\n"`];
  return Array.from({ length: count }, () => {
    const call = pick(calls);
    const alias = aliases.get(call[0] as string);
    const lines = [
      ...(random(2) === 0 ? [`s = ${pick(texts)}`] : []),
      ...(alias === undefined ? [] : [alias]),
      `y = (${spread(call)})`,
      ...(random(3) === 0 ? [`z = ${pick(texts)}  # ${pick(texts)}`] : []),
      'return y',
    ];
    return lines.map((line) => `    ${line}\n`).join('');
  });
}

async function scanAll(path: string): Promise<ScannedFile[]> {
  const { signal } = new AbortController();
  const scanned: ScannedFile[] = [];
  for (const target of await listTargets(path)) scanned.push(await scanFile(target, signal));
  return scanned;
}

function names(scanned: readonly ScannedFile[], verdict: string, root: string): string[] {
  return scanned.filter((file) => file.verdict === verdict).map(({ file }) => relative(root, file));
}

function withCode(scanned: readonly ScannedFile[], code: string): string[] {
  return scanned.filter(({ findings }) => findings.some((finding) => finding.code === code)).map(({ file }) => file);
}

const MUTANTS = 12_000;
const MAX_MUTANT_BYTES = 4096;
/** Fragments that a mutation may insert: names, imports, calls, marks. */
const FRAGMENTS = [
  'cos\nsystem\n',
  '\x8c\x02os',
  '\x8c\x06system',
  '\x93',
  'R',
  '(',
  't',
  '\x85',
  ')',
  'b',
  '\x81',
  '0',
  '2',
  'N',
  'h\x00',
  'q\x00',
  '\x94',
];

/** Streams made of real ones by flipped bytes, cuts and insertions, that the interpreter nevertheless admits. */
async function mutants(directory: string): Promise<Buffer[]> {
  const seeds: Buffer[] = [];
  for (const { path } of await listTargets(directory)) {
    const seed = await readFile(path);
    if (/\.(pkl|pickle)$/.test(path) && seed.length <= MAX_MUTANT_BYTES) seeds.push(seed);
  }
  const random = generator(20_260_301);
  const admitted: Buffer[] = [];
  for (let i = 0; i < MUTANTS; i++) {
    const stream = mutate(seeds[i % seeds.length] as Buffer, random);
    try {
      interpretPickle(stream);
      admitted.push(stream);
    } catch (thrown) {
      assert.ok(thrown instanceof Refusal, String(thrown));
    }
  }
  return admitted;
}

function mutate(seed: Buffer, random: (below: number) => number): Buffer {
  let stream = Buffer.from(seed);
  for (let changes = 1 + random(3); changes > 0; changes--) {
    const at = random(stream.length);
    const kind = random(4);
    if (kind <= 1) stream[at] = random(256);
    else if (kind === 2) stream = Buffer.concat([stream.subarray(0, at), stream.subarray(at + 1 + random(3))]);
    else {
      const fragment = Buffer.from(FRAGMENTS[random(FRAGMENTS.length)] as string, 'latin1');
      stream = Buffer.concat([stream.subarray(0, at), fragment, stream.subarray(at)]);
    }
    if (stream.length === 0) return Buffer.from('N.');
  }
  return stream;
}

/** A linear congruential generator: the same mutants in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function lengthPrefix(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(length);
  return bytes;
}
