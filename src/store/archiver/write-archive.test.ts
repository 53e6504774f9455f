import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault, type FaultCode } from '../../kernel/index.ts';
import { createModelStore, writeArchive, type ArchiveOptions } from '../index.ts';

interface Workshop extends AsyncDisposable {
  readonly root: string;
  readonly options: ArchiveOptions;
  at(name: string): string;
}

async function workshop(): Promise<Workshop> {
  const root = await mkdtemp(join(tmpdir(), 'davy-archiver-'));
  const at = (name: string): string => join(root, name);
  for (const dir of ['extra/sub', 'extra/__pycache__', 'extra/.git', 'extra/__MACOSX']) {
    await mkdir(at(dir), { recursive: true });
    await writeFile(at(`${dir}/file.txt`), dir);
  }
  await writeFile(at('extra/top.json'), '{}');
  await writeFile(at('h.py'), 'def fn(data, context): return data');
  await writeFile(at('weights.pt'), Buffer.alloc(100_000, 'w'));
  await writeFile(at('requirements.txt'), 'x==1');
  await writeFile(at('c.yaml'), 'batchSize: 2');
  const options: ArchiveOptions = {
    modelName: 'my-model_1.0',
    version: '2.5',
    handler: `${at('h.py')}:fn`,
    serializedFile: at('weights.pt'),
    extraFiles: `${at('extra')},${at('*.yaml')}`,
    requirementsFile: at('requirements.txt'),
    configFile: at('c.yaml'),
    exportPath: at('out'),
    sourceDateEpoch: 86_400,
  };
  return { root, options, at, [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

const FILES = ['MAR-INF/MANIFEST.json', 'c.yaml', 'h.py', 'requirements.txt', 'sub/file.txt', 'top.json', 'weights.pt'];
const FORMATS = ['default', 'zip-store', 'tgz', 'no-archive'] as const;
const faultOf = (code: FaultCode, message: RegExp) => (thrown: unknown) =>
  thrown instanceof Fault && thrown.code === code && message.test(thrown.message);

test('every format is admitted by the model store and holds the same files', async () => {
  await using w = await workshop();
  for (const archiveFormat of FORMATS) {
    const path = await writeArchive({ ...w.options, archiveFormat, force: true });
    const store = await createModelStore({
      modelStores: [w.at('out')],
      stateDir: w.at('state'),
      allowedUrls: [],
      inspect: async () => ({ isAllowed: true, findings: [] }),
    });
    const model = await store.admit(path, new AbortController().signal);
    assert.deepEqual(model.files, FILES, archiveFormat);
    assert.deepEqual([model.modelName, model.modelVersion, model.handler], ['my-model_1.0', '2.5', 'h.py:fn']);
    assert.deepEqual(model.manifest?.['createdOn'], '02/01/1970 00:00:00');
    assert.equal(model.wishes?.batchSize, 2);
    assert.deepEqual(model.warnings, []);
    assert.equal((await readFile(join(model.dir, 'weights.pt'))).length, 100_000);
    await store.release(model);
  }
  assert.deepEqual((await readdir(w.at('out'))).toSorted(), [
    'my-model_1.0',
    'my-model_1.0.mar',
    'my-model_1.0.tar.gz',
  ]);
});

test('the same inputs give the same bytes, whatever their times and the order of the list', async () => {
  await using w = await workshop();
  for (const archiveFormat of ['default', 'zip-store', 'tgz'] as const) {
    const first = await readFile(await writeArchive({ ...w.options, archiveFormat, force: true }));
    await utimes(w.at('h.py'), new Date(), new Date(Date.now() - 1e9));
    const extraFiles = `${w.at('c.yaml')},${w.at('extra')}`;
    const second = await readFile(await writeArchive({ ...w.options, extraFiles, archiveFormat, force: true }));
    assert.ok(first.equals(second), archiveFormat);
  }
});

test('without a date from outside, an archive is as old as its newest input', async () => {
  await using w = await workshop();
  const options = { ...w.options, sourceDateEpoch: undefined };
  for (const name of ['h.py', 'weights.pt', 'requirements.txt', 'c.yaml', 'extra/top.json', 'extra/sub/file.txt']) {
    await utimes(w.at(name), 1000, name === 'h.py' ? 86_400 * 365 : 1000);
  }
  const path = await writeArchive({ ...options, archiveFormat: 'no-archive' });
  const manifest = JSON.parse(await readFile(join(path, 'MAR-INF/MANIFEST.json'), 'utf8')) as Record<string, unknown>;
  // The environment of the test may set SOURCE_DATE_EPOCH, which then wins.
  if (process.env['SOURCE_DATE_EPOCH'] === undefined) assert.equal(manifest['createdOn'], '01/01/1971 00:00:00');
});

test('built-in handlers are named, not copied, and a missing .py is added', async () => {
  await using w = await workshop();
  const plain = { ...w.options, extraFiles: undefined };
  const builtIn = await writeArchive({
    ...plain,
    handler: 'image_classifier',
    archiveFormat: 'no-archive',
    force: true,
  });
  assert.ok(!(await readdir(builtIn)).some((name) => name.startsWith('image_classifier')));
  const bare = await writeArchive({ ...plain, handler: w.at('h'), archiveFormat: 'no-archive', force: true });
  assert.ok((await readdir(bare)).includes('h.py'));
});

test('what cannot be archived is refused in words that help, and leaves nothing', async () => {
  await using w = await workshop();
  await mkdir(w.at('nested/MAR-INF'), { recursive: true });
  await writeFile(w.at('nested/MAR-INF/x'), '');
  await mkdir(w.at('twin'));
  await writeFile(w.at('twin/h.py'), 'other');
  await mkdir(w.at('links'));
  await symlink('/etc', w.at('links/etc'));
  const cases: readonly (readonly [Partial<ArchiveOptions>, FaultCode, RegExp])[] = [
    [{ modelName: '../x' }, 'invalid_model', /^model-name contains special characters\./],
    [{ modelName: '-x' }, 'invalid_model', /allowed regular expression/],
    [{ handler: w.at('absent.py') }, 'usage', /no such file/],
    [{ handler: 'os:system' }, 'usage', /no such file/],
    [{ serializedFile: w.at('absent.pt') }, 'usage', /no such file/],
    [{ extraFiles: w.at('absent*') }, 'usage', /no such file/],
    [{ extraFiles: w.at('links') }, 'usage', /links to a directory/],
    [{ extraFiles: w.at('twin') }, 'archive_refused', /two members/],
    [{ extraFiles: w.at('nested') }, 'invalid_model', /MAR-INF is reserved/],
    [{ runtime: 'LSP' }, 'invalid_model', /C\+\+/],
    [{ runtime: 'java' }, 'invalid_model', /^Runtime is not defined or invalid\.$/],
    [{ sourceDateEpoch: Number.NaN }, 'usage', /SOURCE_DATE_EPOCH/],
  ];
  for (const [change, code, message] of cases) {
    await assert.rejects(writeArchive({ ...w.options, ...change }), faultOf(code, message), JSON.stringify(change));
  }
  assert.equal((await readdir(w.root)).includes('out'), false);
});

test('an existing archive is replaced only by force', async () => {
  await using w = await workshop();
  for (const archiveFormat of ['default', 'tgz', 'no-archive'] as const) {
    const path = await writeArchive({ ...w.options, archiveFormat });
    const expected = `${path} already exists.\nPlease specify --force/-f option to overwrite the model archive output file.\nSee -h/--help for more details.`;
    await assert.rejects(writeArchive({ ...w.options, archiveFormat }), { message: expected });
    await writeArchive({ ...w.options, archiveFormat, force: true });
  }
});
