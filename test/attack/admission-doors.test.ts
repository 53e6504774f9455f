// Hostile models at the real doors: REST, gRPC and start-up. Each is refused, nothing stays behind, nobody else is called,
// no answer tells more than the reason, and a model that is being served goes on answering as fast as before.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { ManagementAPIsService } from '../../src/grpc/gen/management_pb.ts';
import { buildZip } from './archives.ts';
import { hostileArchives, type Canary, type HostileArchive } from './doors/hostile-archives.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { startRealServer, type RealServer } from '../support/real-server.ts';

/** A version that was registered keeps its content; what remembers that stays. */
const REMEMBERED = /\/logs\b|\/state\/registered\//;
const SIGNING_KEY = 'wJalrXUtnFEMI-EXAMPLEKEY';
const SECRET = 'SECRET-IMDS-01';
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
    server = await startRealServer({
      modelStore: store.dir,
      models: ['canary'],
      flags: ['--enable-model-api'],
      env: { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: SIGNING_KEY },
      config: [
        `allowed_urls=http://127.0.0.1:${allowed.port}/good/.*,file://.*,http://models.test:${allowed.port}/.*,s3://models/.*`,
        `s3_endpoint=http://127.0.0.1:${bucket.port}`,
      ],
    });
  });
  after(async () => {
    await server?.stop();
    store?.[Symbol.dispose]();
    rmSync(outside, { recursive: true, force: true });
    for (const recorder of [internal, allowed, bucket]) await recorder?.close();
  });

  /** Everything on the disk that a registration could touch, except logs, which only grow. */
  const trees = async (ignored = /\/logs\b/): Promise<string> =>
    (await Promise.all([server.dir, store.dir, outside].map(tree)))
      .flat()
      .filter((line) => !ignored.test(line))
      .join('\n');

  const register = async (url: string, more: Readonly<Record<string, string>> = {}) => {
    const query = new URLSearchParams({ url, initial_workers: '1', synchronous: 'true', ...more });
    const response = await server.manage('POST', `/models?${query}`);
    return { status: response.status, text: await response.text() };
  };

  const assertRefused = ({ status, text }: { status: number; text: string }, what: string): void => {
    assert.ok(REFUSALS.includes(status), `${what}: ${status} ${text}`);
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
    const [own, other] = [`127.0.0.1:${allowed.port}`, internal.port];
    const refused = [
      // URL-01..04: other hosts, in every spelling, and redirects to them.
      ...['127.0.0.1', 'localhost', '0', '2130706433', '0177.0.0.1', '0x7f.1', '[::1]', '[::ffff:127.0.0.1]', '127.1', '127.0.0.1.', '①27.0.0.1']
        .flatMap((host) => [`http://${host}:${other}/good/x.mar`, `HTTP://${host}:${other}/good/x.mar`]),
      'http://169.254.169.254/latest/meta-data/x.mar',
      `http://${own}/good/redirect.mar`,
      `http://${own}/bad/ok.mar`,
      `https://${own}/good/ok.mar`,
      // URL-06..08: an allowed beginning, another place.
      `http://${own}@127.0.0.1:${other}/good/x.mar`,
      `http://127.0.0.1:${other}/http://${own}/good/ok.mar`,
      `http://${own}.evil.test/good/ok.mar`,
      `http://127-0-0-1:${allowed.port}/good/ok.mar`,
      `http://models.test:${allowed.port}/x.mar`,
      `http://models-test:${allowed.port}/x.mar`,
      `http://${own}/good/../bad/ok.mar`,
      `http://${own}/good/%2e%2e/bad/ok.mar`,
      `http://${own}/good/..%2fbad/ok.mar`,
      `http://${own}\\@127.0.0.1:${other}/good/x.mar`,
      `http://${own}/good/ok.mar\r\nHost: x`,
      ` http://${own}/good/ok.mar`,
      `http:\\\\${own}\\good\\ok.mar`,
      // URL-09, 10: other schemes, and paths.
      `file://127.0.0.1:2121/x.mar`, 'file://host/x', 'file:///etc/passwd', 'FILE:/etc', 'netdoc:/x', 'jar:http://h/x!/', 'ftp://h/x.mar', 'gopher://h/x',
      'data:text/plain,x', 's3://bucket/x.mar', 'gs://bucket/x.mar', `file://${outside}/evil.mar`, `file://${store.dir}/../x.mar`, 'blob:x', 'javascript:1',
      join(outside, 'evil.mar'), outside, '/etc', '/proc/self/environ', '/dev/zero', '../evil.mar', 'a/../../evil.mar', '.', '/', '~', '', '\0', 'x'.repeat(9000),
      // URL-11: links.
      'link.mar', 'linked', 'linked/evil.mar',
      // URL-13: an allowed server with something else than a model.
      `http://${own}/good/html.mar`, `http://${own}/good/html.tar.gz?sig=${SECRET}`, `http://${own}/good/404.mar`, `http://${own}/good/`, `http://${own}/good/.mar`,
    ]; // prettier-ignore
    await undisturbed(async () => {
      for (const url of refused) assertRefused(await register(url), url);
      // URL-17: asking for a signature changes nothing.
      assertRefused(
        await register(`http://${own}/good/html.mar?X-Amz-Server-Side-Encryption=aws:kms`, { s3_sse_kms: 'true' }),
        's3_sse_kms',
      );
    });
    await assertNothingHappened(before);
    assert.deepEqual(allowed.credentials, []);
    for (const hit of allowed.hits) assert.match(hit, /^\/good\//);
    assert.ok(
      !(await contentsOf(server.dir)).includes(SECRET),
      'what a server sent, or a signed URL, was written down',
    );
    assert.ok(!server.output().includes(SECRET));
    assert.deepEqual(bucket.hits, []);
  });

  test('is refused over gRPC as over REST (URL-19, MAR, PKL)', async () => {
    const before = await trees();
    const { registerModel } = ManagementAPIsService.method;
    using client = new GrpcClient(Number(server.grpcManagement.split(':')[1]));
    const urls = [
      `http://127.0.0.1:${internal.port}/x.mar`,
      `http://127.0.0.1:${allowed.port}/good/redirect.mar`,
      `http://127.0.0.1:${allowed.port}/good/html.mar`,
      'file:///etc/passwd', '/etc', '../evil.mar', 'link.mar', join(outside, 'evil.mar'),
      ...archives.map(({ file }) => file),
    ]; // prettier-ignore
    await undisturbed(async () => {
      for (const url of urls) {
        const call = client.unary(registerModel, create(registerModel.input, { url, synchronous: true }), {
          key: server.key('management'),
        });
        await assert.rejects(call, ({ code, details }: { code: number; details: string }) => {
          // Invalid argument, not found, already exists.
          assert.ok([3, 5, 6].includes(code), `${url}: ${code} ${details}`);
          assertDiscreet(details, url);
          return true;
        });
      }
    });
    await assertNothingHappened(before);
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
    for (const handler of handlers) assertRefused(await register('good.mar', { handler }), handler);
    for (const model_name of ['../x', 'a/b', 'a b', 'a\n', '.', 'x'.repeat(300), '\u202ex'])
      assertRefused(await register('good.mar', { model_name }), model_name);
    for (const [name, value] of [
      ['runtime', 'LSP'],
      ['runtime', '/bin/sh'],
    ] as const)
      assertRefused(await register('good.mar', { [name]: value }), value);
    await assertNothingHappened(before);
  });

  test('gets no more workers, queue or time than the operator gives (MAR-15)', async () => {
    const before = await trees(REMEMBERED);
    const configs = [
      'minWorkers: 1000000',
      'minWorkers: -1',
      'minWorkers: 1e9',
      'minWorkers: "4"',
      'responseTimeout: 0',
      'responseTimeout: 9223372036854775808',
      'jobQueueSize: 2147483648',
      'deviceIds: [999]',
      'masterAddr: 10.0.0.1',
    ];
    for (const [i, config] of configs.entries()) {
      store.addArchive(`limits${i}.mar`, `limits${i}`, NOOP, { config: `${config}\n` });
      const { status, text } = await register(`limits${i}.mar`, { initial_workers: '0' });
      assertDiscreet(text, config);
      if (status !== 200) {
        assertRefused({ status, text }, config);
      } else {
        const [model] = (await (await server.manage('GET', `/models/limits${i}`)).json()) as Record<string, number>[];
        assert.ok(
          model!['minWorkers']! <= 64 && model!['minWorkers']! >= 0,
          `${config}: ${model!['minWorkers']} workers`,
        );
        const { remainingCapacity } = model!['jobQueueStatus'] as unknown as { remainingCapacity: number };
        assert.ok(remainingCapacity <= 10_000, `${config}: a queue of ${remainingCapacity}`);
        assert.equal((await server.manage('DELETE', `/models/limits${i}`)).status, 200);
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
    for (const url of [
      's3://other/x.mar',
      's3://models.evil/x.mar',
      's3://models@other/x.mar',
      's3://models/',
      'S3://other/x.mar',
    ])
      assertRefused(await register(url), url);
    const { status, text } = await register('s3://models/team/ok.mar');
    assert.equal(status, 200, text);
    assert.deepEqual(bucket.hits, ['/models/team/ok.mar']);
    assert.match(bucket.credentials[0] ?? '', /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\//);
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

  test('is left out at start-up, and the others are served', async () => {
    await using second = await startRealServer({ modelStore: store.dir, models: ['all'], config: ['load_models=all'] });
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

interface Recorder {
  readonly port: number;
  /** Paths that were asked for; `connection` for one that asked for nothing. */
  readonly hits: string[];
  /** Authorization headers that were seen. */
  readonly credentials: string[];
  close(): Promise<void>;
}

type Answer = { readonly status: number; readonly body: string | Buffer; readonly location?: string };

async function record(answer: (path: string) => Answer): Promise<Recorder> {
  const hits: string[] = [];
  const credentials: string[] = [];
  const server: Server = createServer(({ url = '', headers }, response) => {
    hits.push(url);
    if (headers.authorization !== undefined) credentials.push(headers.authorization);
    const { status, body, location } = answer(url);
    response.writeHead(status, location === undefined ? {} : { location }).end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    hits,
    credentials,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

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

async function tree(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  const lines = names.map(async (name) => {
    const found = await lstat(join(root, name)).catch(() => null);
    return found === null ? '' : `${join(root, name)} ${found.isDirectory() ? 'directory' : found.size}`;
  });
  return (await Promise.all(lines)).filter((line) => line !== '').toSorted();
}

async function contentsOf(root: string): Promise<string> {
  const names = await readdir(root, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, 'latin1').catch(() => '')))).join('\n');
}
