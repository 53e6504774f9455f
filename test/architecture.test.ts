// The rooms of src and the direction of their imports, as docs/architecture.md draws them.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { test } from 'node:test';

const SRC = join(import.meta.dirname, '..', 'src');
const MAX_LINES = 400;

/** Floor of each room. A room may import any room on a lower floor. */
const FLOORS: Readonly<Record<string, number>> = {
  kernel: 0,
  model: 1,
  policy: 1,
  config: 1,
  archive: 1,
  serving: 2,
  http: 3,
  grpc: 3,
  workers: 3,
  store: 3,
  observe: 3,
  app: 4,
};
/** The only look sideways. */
const SIDEWAYS = new Set(['policy -> model']);
/** Computation, not I/O: all that the pure rooms may take from Node. */
const PURE_MODULES = new Set([
  'node:buffer',
  'node:crypto',
  'node:path',
  'node:stream',
  'node:stream/promises',
  'node:util',
  'node:zlib',
]);

interface SourceFile {
  /** `/`-separated, relative to src. */
  readonly path: string;
  readonly room: string;
  readonly lines: number;
  readonly imports: readonly string[];
}

const files: readonly SourceFile[] = readdirSync(SRC, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.[jt]sx?$/.test(entry.name))
  .map((entry) => read(join(entry.parentPath, entry.name)));
const isProduct = (file: SourceFile): boolean => !file.path.includes('.test.') && !file.path.startsWith('grpc/gen/');

test('every source file lies in a room that has a floor', () => {
  assert.ok(files.length > 0);
  assert.deepEqual(
    offences(files, (file) => (file.room in FLOORS ? [] : [`${file.room} is not a room`])),
    [],
  );
});

test('imports between rooms point down', () => {
  const found = offences(files, (file) =>
    crossings(file)
      .filter(({ room }) => !mayImport(file.room, room))
      .map(({ target }) => `imports ${target}`),
  );
  assert.deepEqual(found, []);
});

test('a room is entered by its index.ts only', () => {
  const found = offences(files, (file) =>
    crossings(file)
      .filter(({ target, room }) => target !== `${room}/index.ts`)
      .map(({ target }) => `imports ${target}`),
  );
  assert.deepEqual(found, []);
});

test('the rooms below serving do no input or output', () => {
  const pure = files.filter((file) => isProduct(file) && FLOORS[file.room]! <= FLOORS['config']!);
  const found = offences(pure, (file) =>
    file.imports.filter((name) => name.startsWith('node:') && !PURE_MODULES.has(name)).map((name) => `imports ${name}`),
  );
  assert.deepEqual(found, []);
});

test(`no source file is longer than ${MAX_LINES} lines`, () => {
  const found = offences(files.filter(isProduct), (file) => (file.lines > MAX_LINES ? [`${file.lines} lines`] : []));
  assert.deepEqual(found, []);
});

test('relative imports name a file with its extension; only tests reach outside src', () => {
  const found = offences(files, (file) =>
    file.imports
      .filter((name) => name.startsWith('.'))
      .filter((name) => !/\.(ts|json)$/.test(name) || (isProduct(file) && resolveImport(file, name).startsWith('..')))
      .map((name) => `imports ${name}`),
  );
  assert.deepEqual(found, []);
});

function read(absolute: string): SourceFile {
  const path = relative(SRC, absolute).replaceAll('\\', '/');
  const text = readFileSync(absolute, 'utf8');
  return { path, room: path.split('/')[0]!, lines: text.trimEnd().split('\n').length, imports: importsOf(text) };
}

/** Static and dynamic imports and re-exports with a literal name, wherever they stand. */
function importsOf(text: string): string[] {
  const code = text.replaceAll(/^\s*(\/\/|\*|\/\*).*$/gm, '');
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*'([^'\n]+)'/g)].map((match) => match[1]!);
}

function resolveImport(file: SourceFile, name: string): string {
  return posix.join(dirname(file.path), name);
}

function crossings(file: SourceFile): { target: string; room: string }[] {
  return file.imports
    .filter((name) => name.startsWith('.'))
    .map((name) => resolveImport(file, name))
    .map((target) => ({ target, room: target.split('/')[0]! }))
    .filter(({ room }) => room !== file.room && room in FLOORS);
}

function mayImport(from: string, to: string): boolean {
  return FLOORS[from]! > FLOORS[to]! || SIDEWAYS.has(`${from} -> ${to}`);
}

function offences(among: readonly SourceFile[], find: (file: SourceFile) => readonly string[]): string[] {
  return among.flatMap((file) => find(file).map((what) => `${file.path} ${what}`));
}
