import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, realpath, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildTarGz, buildZip, type ZipPart } from '../../../test/attack/archives.ts';
import type { ContentInspector } from '../../archive/index.ts';
import { Fault, makeFinding, type FaultCode } from '../../kernel/index.ts';
import { createModelStore, type LocalModelStore, type ModelStoreOptions } from '../index.ts';
import { removeTree } from './private-directory.ts';

const manifest = (model: object, rest: object = {}): ZipPart => ({
  name: 'MAR-INF/MANIFEST.json',
  data: JSON.stringify({ createdOn: 'x', archiverVersion: '1', runtime: 'python', model, ...rest }),
});
const NOOP: readonly ZipPart[] = [
  manifest({ modelName: 'noop', modelVersion: '1.11', handler: 'h.py', configFile: 'c.yaml' }),
  { name: 'h.py', data: 'def handle(data, context): return ["OK"]' },
  { name: 'c.yaml', data: 'batchSize: 4\nmaxWorkers: many\nown: {key: 1}' },
  { name: 'sub/data.txt', data: 'data', method: 0 },
];
const allowAll: ContentInspector = async () => ({ isAllowed: true, findings: [] });
const signal = new AbortController().signal;

interface House extends AsyncDisposable {
  readonly root: string;
  readonly models: string;
  readonly store: LocalModelStore;
  /** Every file and directory in the store and in the state directory. */
  listing(): Promise<string>;
}

async function house(options: Partial<ModelStoreOptions> = {}): Promise<House> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'davy-store-')));
  const models = join(root, 'model-store');
  await mkdir(models);
  const state = join(root, 'state');
  const base = { modelStores: [models], stateDir: state, allowedUrls: [], inspect: allowAll };
  const store = await createModelStore({ ...base, ...options });
  return {
    root,
    models,
    store,
    listing: async () => (await readdir(root, { recursive: true })).toSorted().join('\n'),
    [Symbol.asyncDispose]: async () => {
      await removeTree(root);
    },
  };
}

const faultOf = (code: FaultCode, message?: RegExp) => (thrown: unknown) =>
  thrown instanceof Fault && thrown.code === code && (message === undefined || message.test(thrown.message));

test('an archive is unpacked by digest, read-only, described, and removed with its last user', async () => {
  await using h = await house();
  const bytes = buildZip(NOOP);
  await writeFile(join(h.models, 'noop.mar'), bytes);
  const before = await h.listing();
  const [a, b] = await Promise.all([h.store.admit('noop.mar', signal), h.store.admit('noop.mar', signal)]);
  assert.equal(a.digest, createHash('sha256').update(bytes).digest('hex'));
  assert.equal(a.dir, join(h.root, 'state', 'models', a.digest));
  assert.deepEqual([a.modelName, a.modelVersion, a.handler, a.fallbackName], ['noop', '1.11', 'h.py', 'noop']);
  assert.deepEqual(a.files, ['MAR-INF/MANIFEST.json', 'c.yaml', 'h.py', 'sub/data.txt']);
  assert.equal(a.wishes?.batchSize, 4);
  assert.equal(JSON.stringify(a.config?.['own']), '{"key":1}');
  assert.equal(a.warnings.length, 1);
  assert.equal(await readFile(join(a.dir, 'sub/data.txt'), 'utf8'), 'data');
  assert.equal((await stat(join(a.dir, 'h.py'))).mode & 0o777, 0o444);
  assert.equal((await stat(join(a.dir, 'sub'))).mode & 0o777, 0o555);
  assert.equal((await stat(join(h.root, 'state'))).mode & 0o777, 0o700);
  await h.store.release(a);
  await h.store.release(a);
  assert.equal(await readFile(join(b.dir, 'sub/data.txt'), 'utf8'), 'data');
  await h.store.release(b);
  assert.equal(await h.listing(), before);
});

test('a tar.gz and a directory give the same model as the archive', async () => {
  await using h = await house();
  const parts = NOOP.map((part) => ({ name: `noop/${String(part.name)}`, data: part.data ?? '' }));
  await writeFile(join(h.models, 'noop.tar.gz'), buildTarGz(parts));
  for (const { name, data } of parts) {
    await mkdir(join(h.models, 'outer', name, '..'), { recursive: true });
    await writeFile(join(h.models, 'outer', name), data);
  }
  for (const url of ['noop.tar.gz', 'outer', join(h.models, 'outer')]) {
    const model = await h.store.admit(url, signal);
    assert.deepEqual([model.modelName, model.files.length, model.handler, model.location], ['noop', 4, 'h.py', url]);
    await h.store.release(model);
  }
  assert.deepEqual(await h.store.listAll(), ['noop.tar.gz', 'outer']);
});

test('references that lead out of the model store are refused', async () => {
  await using h = await house();
  const evil = join(h.root, 'evil');
  await mkdir(evil);
  await writeFile(join(evil, 'x.mar'), buildZip(NOOP));
  await symlink(join(evil, 'x.mar'), join(h.models, 'link.mar'));
  await symlink(evil, join(h.models, 'linked-dir'));
  await mkdir(join(h.models, 'dir'));
  await symlink('/etc/passwd', join(h.models, 'dir', 'h.py'));
  await writeFile(join(h.models, 'dir', 'x'), '');
  const before = await h.listing();
  const refusals: readonly (readonly [string, FaultCode, RegExp?])[] = [
    ['', 'model_not_found', /^empty url$/],
    ['../evil/x.mar', 'source_not_allowed', /^Relative path is not allowed in url: /],
    ['a/../../evil', 'source_not_allowed'],
    ['absent.mar', 'model_not_found', /^Model not found at: absent\.mar$/],
    [join(evil, 'x.mar'), 'model_not_found'],
    [evil, 'model_not_found'],
    ['/etc', 'model_not_found'],
    ['/', 'model_not_found'],
    ['.', 'model_not_found'],
    ['/dev/zero', 'model_not_found'],
    [h.models, 'model_not_found'],
    ['x\0.mar', 'model_not_found'],
    ['link.mar', 'source_not_allowed'],
    ['linked-dir', 'source_not_allowed'],
    ['linked-dir/x.mar', 'source_not_allowed'],
    ['dir', 'archive_refused'],
    ['https://models.test/x.mar', 'source_not_allowed', /does not match any allowed URL/],
    ['file:///etc/passwd', 'source_not_allowed'],
    ['FILE:/etc', 'source_not_allowed'],
    ['jar:http://h/x!/', 'source_not_allowed'],
    ['C:\\x.mar', 'source_not_allowed'],
  ];
  for (const [url, code, message] of refusals)
    await assert.rejects(h.store.admit(url, signal), faultOf(code, message), url);
  assert.equal(await h.listing(), before);
});

test('a refused archive leaves nothing behind', async () => {
  await using h = await house({ limits: { ratioFloorBytes: 1024 * 1024 } });
  const cases: Readonly<Record<string, readonly [Buffer, FaultCode]>> = {
    'slip.mar': [buildZip([...NOOP, { name: '../../evil', data: 'x' }]), 'archive_refused'],
    'crc.mar': [buildZip([...NOOP, { name: 'late', data: 'x', crc: 1 }]), 'archive_refused'],
    'bomb.mar': [buildZip([...NOOP, { name: 'z', data: Buffer.alloc(2 ** 22) }]), 'archive_refused'],
    'html.mar': [Buffer.from('<html>SECRET</html>'), 'archive_refused'],
    'text.tar.gz': [Buffer.from('no gzip'), 'archive_refused'],
    'null.mar': [buildZip([{ name: 'MAR-INF/MANIFEST.json', data: 'null' }]), 'invalid_model'],
    'handler.mar': [buildZip([manifest({ handler: 'os:system' })]), 'invalid_model'],
    'missing.mar': [buildZip([manifest({ serializedFile: 'w.pt' })]), 'invalid_model'],
    'outside.mar': [buildZip([manifest({ configFile: '/etc/passwd' })]), 'invalid_model'],
    'lsp.mar': [buildZip([manifest({}, { runtime: 'LSP' })]), 'invalid_model'],
  };
  for (const [name, [bytes]] of Object.entries(cases)) await writeFile(join(h.models, name), bytes);
  const before = await h.listing();
  for (const [name, [, code]] of Object.entries(cases)) {
    await assert.rejects(h.store.admit(name, signal), faultOf(code), name);
  }
  assert.equal(await h.listing(), before);
});

test('an inspector sees every file in quarantine, and its denial or failure refuses the model', async () => {
  const seen: string[] = [];
  const inspect: ContentInspector = async (files) => {
    for (const file of files) {
      await using bytes = await file.open();
      seen.push(`${file.name} ${Buffer.from(await bytes.read(0, 4)).toString()}`);
    }
    const finding = makeFinding('pickle_not_allowed', 'posix.system', 'w.pkl');
    return { isAllowed: false, findings: [finding] };
  };
  await using h = await house({ inspect });
  await writeFile(join(h.models, 'noop.mar'), buildZip(NOOP));
  const before = await h.listing();
  await assert.rejects(h.store.admit('noop.mar', signal), faultOf('archive_refused', /pickle_not_allowed/));
  assert.ok(seen.includes('sub/data.txt data'));
  assert.equal(await h.listing(), before);
  await using broken = await house({ inspect: () => Promise.reject(new Error('scanner died')) });
  await writeFile(join(broken.models, 'noop.mar'), buildZip(NOOP));
  await assert.rejects(
    broken.store.admit('noop.mar', signal),
    faultOf('internal', /^Failed to save model: noop\.mar$/),
  );
});

test('a caller that gives up leaves nothing behind', async () => {
  await using h = await house();
  await writeFile(join(h.models, 'noop.mar'), buildZip(NOOP));
  const before = await h.listing();
  await assert.rejects(h.store.admit('noop.mar', AbortSignal.abort()), faultOf('cancelled'));
  assert.equal(await h.listing(), before);
});

interface Web extends AsyncDisposable {
  readonly port: number;
  readonly hits: string[];
}

async function web(answer: RequestListener): Promise<Web> {
  const hits: string[] = [];
  const server: Server = createServer((request, response) => {
    hits.push(`${request.headers.host}${request.url}`);
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    hits,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const toLoopback = async () => [{ address: '127.0.0.1' }];

test('a download is vetted, kept in the model store under its name, and removed with its model', async () => {
  const bytes = buildZip(NOOP);
  await using site = await web((_request, response) => response.end(bytes));
  const allowedUrls = [`http://models.test:${site.port}/good/`];
  await using h = await house({ allowedUrls, downloads: { lookup: toLoopback } });
  const url = `http://models.test:${site.port}/good/noop.mar?sig=SECRET`;
  const before = await h.listing();
  const model = await h.store.admit(url, signal);
  assert.equal(model.location, 'noop.mar');
  assert.equal(model.modelName, 'noop');
  assert.ok(!model.url.includes('SECRET'));
  assert.deepEqual(site.hits, [`models.test:${site.port}/good/noop.mar?sig=SECRET`]);
  assert.ok((await readFile(join(h.models, 'noop.mar'))).equals(bytes));
  await assert.rejects(h.store.admit(url, signal), faultOf('file_exists', /^Model file already exists noop\.mar$/));
  assert.equal(site.hits.length, 1);
  await h.store.release(model);
  assert.equal(await h.listing(), before);
  const again = await h.store.admit(url, signal);
  h.store.beginShutdown();
  await h.store.release(again);
  assert.deepEqual(await h.store.listAll(), ['noop.mar']);
});

test('a download that fails or brings something else leaves nothing behind and echoes nothing', async () => {
  const answers: Readonly<Record<string, RequestListener>> = {
    '/404.mar': (_request, response) => response.writeHead(404).end('SECRET'),
    '/redirect.mar': (_request, response) => response.writeHead(302, { location: '/good.mar' }).end(),
    '/encoded.mar': (_request, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end('SECRET'),
    '/large.mar': (_request, response) => response.end(Buffer.alloc(100_000)),
    '/declared.mar': (_request, response) => response.writeHead(200, { 'content-length': 10 ** 9 }).end('x'),
    '/cut.mar': (_request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('SECRET', () => response.destroy());
    },
    '/silent.mar': () => {},
    '/partial.mar': (_request, response) => void response.write('x'),
  };
  await using site = await web((request, response) => {
    const answer = answers[request.url ?? ''];
    if (answer === undefined) response.end('<html>SECRET-IMDS-01</html>');
    else answer(request, response);
  });
  const allowedUrls = [`http://localhost:${site.port}/.*`];
  const downloads = { lookup: toLoopback, maxBytes: 50_000, idleTimeoutMs: 60, totalTimeoutMs: 2000 };
  await using h = await house({ allowedUrls, downloads });
  const before = await h.listing();
  const at = (path: string): string => `http://localhost:${site.port}${path}`;
  for (const path of Object.keys(answers)) {
    const isExpected = faultOf('download_failed', new RegExp(`^Failed to download archive from: ${at(path)}$`));
    await assert.rejects(h.store.admit(at(path), signal), isExpected, path);
  }
  const isQuiet = (thrown: unknown) => thrown instanceof Fault && !thrown.message.includes('SECRET');
  for (const path of ['/imds.mar', '/imds.tar.gz'])
    await assert.rejects(h.store.admit(at(path), signal), isQuiet, path);
  for (const path of ['/', '/dir/', '/.hidden.mar']) {
    await assert.rejects(h.store.admit(at(path), signal), faultOf('download_failed'), path);
  }
  assert.equal(await h.listing(), before);
  assert.ok(!site.hits.some((hit) => hit.endsWith('/good.mar')));
});

test('internal addresses are reached only through entries that name their host', async () => {
  await using site = await web((_request, response) => response.end('x'));
  const port = site.port;
  await using h = await house({ allowedUrls: ['http://.*'], downloads: { lookup: toLoopback } });
  const hosts = [
    '127.0.0.1',
    'localhost',
    '2130706433',
    '0177.0.0.1',
    '0x7f.1',
    '127.1',
    '0',
    '[::1]',
    '[::ffff:127.0.0.1]',
  ];
  for (const host of hosts) {
    await assert.rejects(h.store.admit(`http://${host}:${port}/x.mar`, signal), faultOf('download_failed'), host);
  }
  assert.deepEqual(site.hits, []);
});

test('a name is resolved once, and one bad address among its answers refuses it', async () => {
  await using site = await web((_request, response) => response.end(buildZip(NOOP)));
  let lookups = 0;
  const rebinding = async () => [{ address: lookups++ === 0 ? '127.0.0.1' : '169.254.169.254' }];
  const allowedUrls = [`http://models.test:${site.port}/`];
  await using h = await house({ allowedUrls, downloads: { lookup: rebinding } });
  await h.store.admit(`http://models.test:${site.port}/noop.mar`, signal);
  assert.equal(lookups, 1);
  const mixed = async () => [{ address: '127.0.0.1' }, { address: '169.254.169.254' }];
  await using other = await house({ allowedUrls, downloads: { lookup: mixed } });
  const url = `http://models.test:${site.port}/noop.mar`;
  await assert.rejects(other.store.admit(url, signal), faultOf('download_failed'));
  assert.equal(site.hits.length, 1);
});

test('without an allowed entry nobody is asked for an address', async () => {
  let lookups = 0;
  const lookup = async () => {
    lookups += 1;
    return [{ address: '127.0.0.1' }];
  };
  await using h = await house({ downloads: { lookup } });
  await assert.rejects(h.store.admit('http://models.test/x.mar', signal), faultOf('source_not_allowed'));
  assert.equal(lookups, 0);
});

test('two downloads of one name at once fetch it once', async () => {
  await using site = await web((_request, response) => response.end(buildZip(NOOP)));
  await using h = await house({ allowedUrls: [`http://127.0.0.1:${site.port}/`] });
  const url = `http://127.0.0.1:${site.port}/noop.mar`;
  const outcomes = await Promise.allSettled([h.store.admit(url, signal), h.store.admit(url, signal)]);
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
  assert.equal(site.hits.length, 1);
});

test('a file URL names a file inside the store and nothing else', async () => {
  await using h = await house({ allowedUrls: ['file://.*'] });
  await writeFile(join(h.models, 'noop.mar'), buildZip(NOOP));
  const model = await h.store.admit(`file://${join(h.models, 'noop.mar')}`, signal);
  assert.equal(model.location, join(h.models, 'noop.mar'));
  assert.equal(model.modelName, 'noop');
  for (const url of ['file:///etc/noop.mar', 'file://127.0.0.1:2121/noop.mar', 'file:///']) {
    await assert.rejects(h.store.admit(url, signal), faultOf('source_not_allowed'), url);
  }
  await h.store.release(model);
  assert.deepEqual(await h.store.listAll(), ['noop.mar']);
});

test('a state directory that is a link is refused', async () => {
  await using h = await house();
  await mkdir(join(h.root, 'elsewhere'));
  await symlink(join(h.root, 'elsewhere'), join(h.root, 'link'));
  const options = { modelStores: [h.models], stateDir: join(h.root, 'link'), allowedUrls: [], inspect: allowAll };
  await assert.rejects(createModelStore(options), faultOf('invalid_configuration'));
});
