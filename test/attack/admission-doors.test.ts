// Hostile models at the real doors: REST, gRPC and start-up. Each is refused, nothing stays behind, nobody else is called,
// no answer tells more than the reason, and a model that is being served goes on answering as fast as before.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ManagementAPIsService, type RegisterModelRequestSchema } from '../../src/grpc/gen/management_pb.ts';
import { buildZip } from './archives.ts';
import { contentsOf, diskTree } from './doors/disk.ts';
import { hostileArchives, type Canary, type HostileArchive } from './doors/hostile-archives.ts';
import { hostileUrls, REQUEST_ONLY, SECRET, type HostileUrl } from './doors/hostile-urls.ts';
import { record, type Recorder } from './doors/recorder.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { portOf, startRealServer, type RealServer } from '../support/real-server.ts';

/** A version that was registered keeps its content; what remembers that stays. */
const REMEMBERED = /\/logs\b|\/state\/registered\//;
const SIGNING_KEY = 'wJalrXUtnFEMI-EXAMPLEKEY';
/** Faults of admission and of bad requests; anything else is a failure of ours. */
const REFUSALS: readonly number[] = [400, 404, 409];

describe('a hostile model at the doors', () => {
  let store: TestStore;
  let outside = '';
  let canary: Canary;
  let internal: Recorder;
  let allowed: Recorder;
  let bucket: Recorder;
  let server: RealServer;
  let archives: readonly HostileArchive[];
  let urls: readonly HostileUrl[];
  let sources: readonly string[];
  const good = buildZip([
    { name: 'MAR-INF/MANIFEST.json', data: '{"runtime":"python","model":{"modelName":"good","handler":"h.py"}}' },
    { name: 'h.py', data: NOOP },
  ]);

  before(async () => {
    outside = mkdtempSync(join(tmpdir(), 'davy-outside-'));
    internal = await record(() => ({ status: 200, body: SECRET }));
    canary = { path: join(outside, 'pwned'), port: internal.port };
    allowed = await record((path) => {
      if (path.startsWith('/good/ok')) return { status: 200, body: good };
      if (path.startsWith('/good/redirect'))
        return { status: 302, body: '', location: `http://127.0.0.1:${internal.port}/x.mar` };
      return { status: path.includes('404') ? 404 : 200, body: `<html>${SECRET}</html>` };
    });
    bucket = await record(() => ({ status: 200, body: good }));
    store = makeModelStore();
    store.add('canary', NOOP);
    archives = hostileArchives(canary);
    for (const { file, bytes } of archives) writeFileSync(join(store.dir, file), bytes);
    writeFileSync(join(outside, 'evil.mar'), good);
    symlinkSync(join(outside, 'evil.mar'), join(store.dir, 'link.mar'));
    symlinkSync(outside, join(store.dir, 'linked'));
    // PKL-07: external data behind a link.
    store.add('holds-link', NOOP);
    symlinkSync('/etc/passwd', join(store.dir, 'holds-link', 'w.bin'));
    urls = hostileUrls({ allowed: allowed.port, internal: internal.port, store: store.dir, outside });
    const names = [`127.0.0.1:${allowed.port}/good/`, `models.test:${allowed.port}/`, `local.*:${allowed.port}/x.mar`];
    sources = [
      `allowed_urls=${names.map((name) => `http://${name}.*`).join(',')},file://.*,s3://models/.*`,
      `s3_endpoint=http://127.0.0.1:${bucket.port}`,
      'max_workers_per_model=2',
    ];
    server = await startRealServer({
      modelStore: store.dir,
      models: ['canary'],
      flags: ['--enable-model-api'],
      env: { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: SIGNING_KEY },
      config: sources,
    });
  });
  after(async () => {
    await server?.stop();
    store?.[Symbol.dispose]();
    rmSync(outside, { recursive: true, force: true });
    for (const recorder of [internal, allowed, bucket]) await recorder?.close();
  });

  /** Everything on the disk that a registration could touch, except logs, which only grow. */
  const trees = (ignored = /\/logs\b/): Promise<string> => diskTree([server.dir, store.dir, outside], ignored);

  const register = async (url: string, more: Readonly<Record<string, string>> = {}) => {
    const query = new URLSearchParams({ url, initial_workers: '1', synchronous: 'true', ...more });
    const response = await server.manage('POST', `/models?${query}`);
    return { status: response.status, text: await response.text() };
  };

  const assertRefused = ({ status, text }: { status: number; text: string }, what: string, row = ''): void => {
    assert.ok(REFUSALS.includes(status), `${row} ${what}: ${status} ${text}`);
    const { code, type, message } = JSON.parse(text) as Record<string, unknown>;
    assert.equal(code, status, what);
    assert.match(
      String(type),
      /^(InvalidModel|ModelNotFound|DownloadArchive|BadRequest|ConflictStatus)Exception$/,
      what,
    );
    assert.ok(String(message).length > 0, what);
    assertDiscreet(text, what);
  };

  const assertRefusedOverGrpc = async (
    client: GrpcClient,
    request: MessageInitShape<typeof RegisterModelRequestSchema>,
    what: string,
    row = '',
  ): Promise<void> => {
    const { registerModel } = ManagementAPIsService.method;
    const message = create(registerModel.input, { synchronous: true, ...request });
    const call = client.unary(registerModel, message, { key: server.key('management') });
    await assert.rejects(call, ({ code, details }: { code: number; details: string }) => {
      // Invalid argument, not found, already exists.
      assert.ok([3, 5, 6].includes(code), `${row} ${what}: ${code} ${details}`);
      assertDiscreet(details, what);
      return true;
    });
  };

  /** No path of ours, no stack, no class, nothing that a server sent us. What the caller wrote may come back. */
  const assertDiscreet = (answer: string, what: string): void => {
    const text = answer.replaceAll(JSON.stringify(what).slice(1, -1), '').replaceAll(what, '');
    for (const secret of [
      server.dir,
      outside,
      SECRET,
      'node:',
      '.ts:',
      '.ts"',
      '    at ',
      'Error:',
      'ENOENT',
      'TypeError',
      'ZodError',
    ])
      assert.ok(!text.includes(secret), `${what} tells ${secret}: ${text}`);
  };

  /** Runs `work` while the canary is asked without a pause, and compares with how fast it was alone. */
  const undisturbed = async (work: () => Promise<void>): Promise<void> => {
    await pulse(server, 400);
    const alone = await pulse(server, 600);
    let isDone = false;
    const working = work().finally(() => (isDone = true));
    const meanwhile = await pulse(server, 60_000, () => isDone);
    await working;
    // A neighbour on a small machine costs a few milliseconds, however well the server behaves.
    assert.ok(meanwhile <= 2 * alone + 15, `predictions took ${meanwhile} ms instead of ${alone} ms`);
  };

  /** Only the allowed host was asked, only for what it is allowed for, by nobody in particular; and nothing it said was kept. */
  const assertNobodyCalled = async ({ dir, output }: RealServer): Promise<void> => {
    for (const hit of allowed.hits) assert.match(hit, /^\/good\//);
    for (const { hits, credentials } of [internal, bucket]) assert.deepEqual([hits, credentials], [[], []]);
    assert.deepEqual(allowed.credentials, []);
    assert.ok(!(await contentsOf(dir)).includes(SECRET), 'what a server sent, or a signed URL, was written down');
    assert.ok(!output().includes(SECRET));
  };

  const assertNothingHappened = async (before: string, ignored?: RegExp): Promise<void> => {
    assert.equal(await trees(ignored), before);
    assert.ok(!existsSync(canary.path), 'a payload was run');
    assert.deepEqual(internal.hits, []);
    const listed = (await (await server.manage('GET', '/models')).json()) as { models: { modelName: string }[] };
    assert.deepEqual(
      listed.models.map(({ modelName }) => modelName),
      ['canary'],
    );
  };

  test('is refused in every archive, while predictions go on (MAR, PKL)', async () => {
    const before = await trees();
    await undisturbed(async () => {
      for (const { row, file } of archives) {
        const startedAt = performance.now();
        assertRefused(await register(file), row);
        assert.ok(performance.now() - startedAt < 5000, `${row} took ${performance.now() - startedAt} ms`);
      }
    });
    await assertNothingHappened(before);
    await server.until(/AUDIT .*subject=PKL-09_template/);
    const refusals = server.output().match(/AUDIT .*refused admit_model .*/g) ?? [];
    // One is unpacked, and refused for its name.
    assert.ok(refusals.length >= archives.length - 1, `${refusals.length} refusals in the audit log`);
    assert.ok(
      refusals.some((line) => line.includes('subject=PKL-01_pt.mar') && line.includes('pickle_not_allowed w.pt')),
    );
  });

  test('is refused at every address, and nobody is called who may not be (URL)', async () => {
    const before = await trees();
    await undisturbed(async () => {
      for (const { row, url } of [...urls, ...REQUEST_ONLY]) assertRefused(await register(url), url, row);
      // URL-17: asking for a signature changes nothing.
      const url = `http://127.0.0.1:${allowed.port}/good/html.mar?X-Amz-Server-Side-Encryption=aws:kms`;
      assertRefused(await register(url, { s3_sse_kms: 'true' }), 's3_sse_kms');
    });
    await assertNothingHappened(before);
    await assertNobodyCalled(server);
  });

  test('is refused over gRPC as over REST (URL-19, MAR, PKL)', async () => {
    const before = await trees();
    using client = new GrpcClient(portOf(server.grpcManagement));
    const inStore = archives.map(({ row, file }) => ({ row, url: file }));
    await undisturbed(async () => {
      for (const { row, url } of [...urls, ...REQUEST_ONLY, ...inStore])
        await assertRefusedOverGrpc(client, { url, s3SseKms: row === 'URL-13' }, url, row);
    });
    await assertNothingHappened(before);
    await assertNobodyCalled(server);
  });

  test('cannot be made of a good archive by the parameters of its registration (MAR-13)', async () => {
    writeFileSync(join(store.dir, 'good.mar'), good);
    const before = await trees();
    const handlers = [
      '/tmp/evil/x.py:handle',
      '../x.py:handle',
      'os:system',
      'shutil:rmtree',
      `${outside}/x.py`,
      'x.py;id',
      'h.py:handle:x',
      'h․py',
    ];
    const names = ['../x', 'a/b', 'a b', 'a\n', '.', 'x'.repeat(300), '\u202ex'];
    const runtimes = ['LSP', '/bin/sh'];
    using client = new GrpcClient(portOf(server.grpcManagement));
    for (const [parameter, field, values] of [
      ['handler', 'handler', handlers],
      ['model_name', 'modelName', names],
      ['runtime', 'runtime', runtimes],
    ] as const) {
      for (const value of values) {
        assertRefused(await register('good.mar', { [parameter]: value }), value);
        await assertRefusedOverGrpc(client, { url: 'good.mar', [field]: value }, value);
      }
    }
    await assertNothingHappened(before);
  });

  test('gets no more workers, queue or time than the operator gives, and the answer says so (MAR-15)', async () => {
    const before = await trees(REMEMBERED);
    const { registerModel, unregisterModel } = ManagementAPIsService.method;
    using client = new GrpcClient(portOf(server.grpcManagement));
    const key = server.key('management');
    // Settings, and what the answer says of them; nothing is said of keys that have no meaning.
    const configs = [
      ['minWorkers: 1000000\nmaxWorkers: 1000000', /^maxWorkers 1000000 reduced to 2, the operator's limit$/],
      ['minWorkers: 1000000000\nmaxWorkers: 2147483647', /^maxWorkers 2147483647 reduced to 2/],
      ['minWorkers: 1e9\nmaxWorkers: 1e9', /^Invalid m(in|ax)Workers: 1e9, should be integer/],
      ['minWorkers: "4"', /^Invalid minWorkers: 4, should be integer$/],
      ['maxWorkers: -1', /^Invalid maxWorkers: -1, should be integer >= 0$/],
      ['responseTimeout: 0', /^Invalid responseTimeout: 0, /],
      ['responseTimeout: 9223372036854775808', /^Invalid responseTimeout: /],
      ['responseTimeout: 2147483647\nstartupTimeout: 2147483647', /^timeout 2147483647 reduced to \d+/],
      ['jobQueueSize: 2147483648', /^Invalid jobQueueSize: 2147483648, /],
      ['jobQueueSize: 2147483647', /^jobQueueSize 2147483647 reduced to 100000/],
      ['batchSize: 2147483647', /^batchSize 2147483647 reduced to 8192/],
      [
        'sequenceBatching: true\nsequenceMaxIdleMSec: 2147483647\nmaxNumSequence: 2147483647\nmaxSequenceJobQueueSize: 2147483647',
        /^max(NumSequence|SequenceJobQueueSize) 2147483647 reduced to 100?000?/,
      ],
      ['masterAddr: 10.0.0.1', null],
      ['torchrun:\n  nproc-per-node: 1000000\n  rdzv-endpoint: 10.0.0.1:29500', null],
    ] as const;
    for (const [i, [config, said]] of configs.entries()) {
      store.addArchive(`limits${i}.mar`, `limits${i}`, NOOP, { config: `${config}\n` });
      const { status, text } = await register(`limits${i}.mar`, { initial_workers: '0' });
      assert.equal(status, 200, text);
      assertDiscreet(text, config);
      const { warnings = [] } = JSON.parse(text) as { warnings?: string[] };
      if (said === null) assert.deepEqual(warnings, [], config);
      else for (const warning of warnings.length === 0 ? [''] : warnings) assert.match(warning, said, config);
      const [model] = (await (await server.manage('GET', `/models/limits${i}`)).json()) as Record<string, number>[];
      assert.ok(model!['minWorkers']! <= 2 && model!['minWorkers']! >= 0, `${config}: ${model!['minWorkers']} workers`);
      const { remainingCapacity } = model!['jobQueueStatus'] as unknown as { remainingCapacity: number };
      assert.ok(remainingCapacity <= 100_000, `${config}: a queue of ${remainingCapacity}`);
      assert.equal((await server.manage('DELETE', `/models/limits${i}`)).status, 200);
      if (i % 4 === 0) {
        const request = create(registerModel.input, { url: `limits${i}.mar`, synchronous: true });
        const { msg } = await client.unary(registerModel, request, { key });
        const [sentence, ...lines] = msg.split('\n');
        assert.match(sentence!, /^Model "limits\d+" Version: 1\.0 registered with \d initial workers/);
        assert.deepEqual(lines, warnings);
        await client.unary(unregisterModel, create(unregisterModel.input, { modelName: `limits${i}` }), { key });
      }
      rmSync(join(store.dir, `limits${i}.mar`));
    }
    await assertNothingHappened(before, REMEMBERED);
  });

  test('of twenty registrations of one name at once exactly one succeeds (MAR-19), and a swapped file is vetted again (URL-15)', async () => {
    const before = await trees(REMEMBERED);
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => register('good.mar')));
    const statuses = outcomes.map(({ status }) => status).toSorted();
    assert.deepEqual(statuses, [200, ...Array.from({ length: 19 }, () => 409)]);
    assert.equal((await server.predict('good', 'x')).status, 200);
    assert.equal((await server.manage('DELETE', '/models/good')).status, 200);
    for (let round = 0; round < 4; round += 1) {
      const [registered, deleted] = await Promise.all([
        register('good.mar', { synchronous: 'false' }),
        server.manage('DELETE', '/models/good'),
      ]);
      assert.equal(registered.status, 202);
      assert.ok([200, 404].includes(deleted.status));
      if (deleted.status === 404) assert.equal((await server.manage('DELETE', '/models/good')).status, 200);
    }
    const evil = archives.find(({ row }) => row === 'PKL-01 pt')!;
    writeFileSync(join(store.dir, 'good.mar'), evil.bytes);
    assertRefused(await register('good.mar'), 'swapped');
    writeFileSync(join(store.dir, 'good.mar'), good);
    await assertNothingHappened(before, REMEMBERED);
  });

  test('two downloads of one name at once fetch it once, and nothing of it stays when it goes (URL-16)', async () => {
    const before = await trees();
    const hits = allowed.hits.length;
    const url = `http://127.0.0.1:${allowed.port}/good/ok.mar?sig=${SECRET}`;
    const outcomes = await Promise.all([register(url), register(url), register(url)]);
    assert.equal(outcomes.filter(({ status }) => status === 200).length, 1, JSON.stringify(outcomes));
    for (const { text } of outcomes) assertDiscreet(text, url);
    assert.equal(allowed.hits.length, hits + 1);
    const described = await (await server.manage('GET', '/models/good')).text();
    assert.ok(!described.includes(SECRET), described);
    assert.equal((await server.manage('DELETE', '/models/good')).status, 200);
    await assertNothingHappened(before);
    assert.ok(!(await contentsOf(server.dir)).includes(SECRET));
  });

  test('sees credentials of the object store nowhere else (URL-17, 18)', async () => {
    const before = await trees(REMEMBERED);
    const { status, text } = await register('s3://models/team/ok.mar');
    assert.equal(status, 200, text);
    assert.deepEqual(bucket.hits, ['/models/team/ok.mar']);
    assert.match(bucket.credentials[0] ?? '', /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\//);
    for (const seen of [bucket.hits, bucket.credentials]) seen.length = 0;
    assert.equal((await server.manage('DELETE', '/models/good')).status, 200);
    await assertNothingHappened(before, REMEMBERED);
    assert.deepEqual([...allowed.credentials, ...internal.credentials], []);
    assert.ok(!(await contentsOf(server.dir)).includes(SIGNING_KEY));
    assert.ok(!server.output().includes(SIGNING_KEY));
  });

  test('does not get between the worker and the modules it imports itself (MAR-17)', async () => {
    const trap = `open(${JSON.stringify(canary.path)}, "w")\nraise RuntimeError("imported")\n`;
    const names = [
      'json.py',
      'os.py',
      'socket.py',
      'torch.py',
      'encodings.py',
      'ts/__init__.py',
      'davy_worker/__init__.py',
    ];
    store.addArchive('shadow.mar', 'shadow', NOOP, { files: Object.fromEntries(names.map((name) => [name, trap])) });
    const { status, text } = await register('shadow.mar');
    assert.equal(status, 200, text);
    const answer = await server.predict('shadow', 'x');
    assert.equal(await answer.text(), 'OK');
    assert.equal((await server.manage('DELETE', '/models/shadow')).status, 200);
    assert.ok(!existsSync(canary.path));
    rmSync(join(store.dir, 'shadow.mar'));
  });

  test('is left out at start-up, and the others are served (URL, MAR, PKL)', async () => {
    const references = [...urls.map(({ url }, i) => `m${i}=${url}`), ...archives.map(({ file }) => file), 'canary'];
    const before = await diskTree([store.dir, outside], /^$/);
    // URL-01: the second allows no URL at all.
    await using servers = new AsyncDisposableStack();
    for (const config of [sources, []]) {
      const started = servers.use(await startRealServer({ modelStore: store.dir, models: references, config }));
      const answer = (await (await started.manage('GET', '/models?limit=1000')).json()) as {
        models: { modelName: string }[];
      };
      assert.deepEqual(
        answer.models.map(({ modelName }) => modelName),
        ['canary'],
      );
      assert.equal((await started.predict('canary', 'x')).status, 200);
      await assertNobodyCalled(started);
      const failures = started.output().match(/Failed to load model: /g) ?? [];
      assert.equal(failures.length, references.length - 1);
      assert.deepEqual(await readdir(join(started.dir, 'state', 'incoming')), []);
      assert.equal((await readdir(join(started.dir, 'state', 'models'))).length, 1);
    }
    assert.equal(await diskTree([store.dir, outside], /^$/), before);
    assert.ok(!existsSync(canary.path));
  });

  test('is left out where everything in the store is loaded at start-up (MAR, PKL)', async () => {
    await using second = await startRealServer({ modelStore: store.dir, models: ['all'] });
    const listed = (await (await second.manage('GET', '/models?limit=100')).json()) as {
      models: { modelName: string }[];
    };
    assert.deepEqual(listed.models.map(({ modelName }) => modelName).toSorted(), ['canary', 'good']);
    assert.equal((await second.predict('canary', 'x')).status, 200);
    const output = second.output();
    for (const { row, file } of archives) assert.ok(output.includes(`Failed to load model: ${file}`), row);
    assert.ok(!existsSync(canary.path));
    assert.deepEqual(internal.hits, []);
    assert.deepEqual(await readdir(join(second.dir, 'state', 'incoming')), []);
  });
});

/** Median milliseconds of predictions, one after the other, for `forMs` or until `isOver`. */
async function pulse({ predict }: RealServer, forMs: number, isOver = () => false): Promise<number> {
  const times: number[] = [];
  const end = performance.now() + forMs;
  do {
    const startedAt = performance.now();
    const response = await predict('canary', 'x');
    assert.equal(response.status, 200);
    await response.text();
    times.push(performance.now() - startedAt);
  } while (performance.now() < end && !isOver());
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!;
}
