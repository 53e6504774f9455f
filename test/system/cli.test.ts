// The commands as a shell would call them, against a scripted server on a unix socket.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { main as davy } from '../../src/app/cli/main.ts';
import { main as torchserve } from '../../src/app/cli/torchserve.ts';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

describe('client commands', () => {
  let dir = '';
  let server: Server;
  let socket = '';
  const seen: Seen[] = [];

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'davy-cli-'));
    socket = `unix:${dir}/s`;
    const keys = { management: { key: 'mkey' }, inference: { key: 'ikey' }, API: { key: 'akey' } };
    writeFileSync(join(dir, 'key_file.json'), JSON.stringify(keys));
    server = createServer((request, response) => {
      void bodyOf(request).then((body) => {
        const { method = '', url = '', headers } = request;
        seen.push({ method, url, authorization: headers.authorization, body });
        const [status, answer] = answers(method, url);
        response.writeHead(status, { 'content-type': 'application/json' }).end(answer);
      });
    });
    server.listen(join(dir, 's'));
    await once(server, 'listening');
  });

  after(async () => {
    server.close();
    await once(server, 'close');
    rmSync(dir, { recursive: true });
  });

  const run = async (
    ...args: string[]
  ): Promise<{ code: number; out: string; err: string; calls: readonly Seen[] }> => {
    seen.length = 0;
    const io = fakeIo(dir);
    const code = await davy([...args, ...(isClient(args) ? ['--inference', socket, '--management', socket] : [])], io);
    return { code, out: io.out(), err: io.err(), calls: [...seen] };
  };

  test('list follows pages until an empty one', async () => {
    const { code, out, calls } = await run('models', 'list');
    assert.equal(code, 0);
    assert.equal(out, 'MODEL  ARCHIVE\na      a.mar\nb      b.mar\n');
    assert.deepEqual(
      calls.map(({ authorization }) => authorization),
      Array(3).fill('Bearer mkey'),
    );
  });

  test('register waits for its workers and says what the server said', async () => {
    const { code, out, calls } = await run('models', 'register', 'a b.mar', '--workers', '2', '--batch-size', '4');
    assert.equal(code, 0);
    assert.equal(out, 'done\n');
    assert.equal(calls[0]?.url, '/models?url=a+b.mar&batch_size=4&initial_workers=2&synchronous=true');
  });

  test('predict sends the input with the inference key and prints the answer untouched', async () => {
    writeFileSync(join(dir, 'x.json'), '{"x":1}');
    const { code, out, calls } = await run('predict', 'm', 'x.json', '--version', '2.0');
    assert.equal(code, 0);
    assert.equal(out, '{"class":7}');
    assert.deepEqual(calls[0], {
      method: 'POST',
      url: '/predictions/m/2.0',
      authorization: 'Bearer ikey',
      body: '{"x":1}',
    });
  });

  test('a refusal ends with status 1 and the server’s words', async () => {
    const { code, err } = await run('models', 'unregister', 'm');
    assert.equal(code, 1);
    assert.match(err, /not allowed/);
    assert.match(err, /--enable-model-api/);
  });

  test('rotate uses the API key', async () => {
    const { code, calls } = await run('token', 'rotate', 'inference');
    assert.equal(code, 0);
    assert.deepEqual([calls[0]?.url, calls[0]?.authorization], ['/token?type=inference', 'Bearer akey']);
  });

  test('token show prints one bare key for scripts', async () => {
    assert.equal((await run('token', 'show', 'inference')).out, 'ikey\n');
  });

  test('status is healthy with ready workers, for machines too', async () => {
    const { code, out } = await run('status', '--json');
    assert.equal(code, 0);
    const models = ['a', 'b'].map((model) => ({ model, version: '1.0', ready: 1, workers: 1 }));
    assert.deepEqual(JSON.parse(out), { status: 'Healthy', models });
  });

  test('status waits for a server that is not there yet, and for workers that are not ready', async () => {
    const late = createServer(({ url = '' }, response) => {
      const [code, answer] = answers('GET', url);
      const isEarly = asked++ < 4;
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(isEarly ? answer.replace('READY', 'UNLOADING') : answer);
    });
    let asked = 0;
    const io = fakeIo(dir);
    const address = `unix:${dir}/late`;
    const waiting = davy(['status', '--wait', '60', '--inference', address, '--management', address], io);
    late.listen(join(dir, 'late'));
    assert.equal(await waiting, 0);
    assert.ok(asked > 4);
    assert.match(io.out(), /a +1\.0 +1\/1/);
    late.close();
    await once(late, 'close');
  });

  test('status does not wait longer than it was told', async () => {
    const args = ['--inference', `unix:${dir}/nobody`];
    assert.equal(await davy(['status', '--wait', '0', ...args], fakeIo(dir)), 3);
    assert.equal(await davy(['status', '--wait', 'soon', ...args], fakeIo(dir)), 2);
  });

  test('no server ends with status 3 and how to start one', async () => {
    const io = fakeIo(dir);
    assert.equal(await davy(['status', '--inference', `unix:${dir}/nobody`], io), 3);
    assert.match(io.err(), /davy serve/);
  });
});

describe('the commands around a server', () => {
  const inDir = async (check: (dir: string) => Promise<void>): Promise<void> => {
    const dir = mkdtempSync(join(tmpdir(), 'davy-cli-'));
    try {
      await check(dir);
    } finally {
      rmSync(dir, { recursive: true });
    }
  };
  const ts = async (dir: string, ...args: string[]): Promise<readonly [number, string]> => {
    const io = fakeIo(dir);
    return [await torchserve(args, io), io.out()];
  };

  test('torchserve says what TorchServe says', () =>
    inDir(async (dir) => {
      assert.deepEqual(await ts(dir, '--version'), [0, 'TorchServe Version is 0.12.0\n']);
      assert.deepEqual(await ts(dir, '--stop'), [0, 'TorchServe is not currently running.\n']);
      assert.deepEqual(await ts(dir, '--start'), [1, 'Missing mandatory parameter --model-store\n']);
      assert.deepEqual(await ts(dir, '--model-store', 'no'), [1, '--model-store directory not found: no\n']);
      assert.deepEqual(await ts(dir, '--ts-config', 'no'), [1, '--ts-config file not found: no\n']);
      assert.deepEqual(await ts(dir, '--log-config', 'no'), [1, '--log-config file not found: no\n']);
      assert.deepEqual(await ts(dir, '--model-store', '.', '--workflow-store', 'no'), [
        1,
        '--workflow-store directory not found: no\n',
      ]);
      assert.equal((await ts(dir, '--start', '--stop'))[0], 2);
    }));

  test('a pid file without its server is removed, and key_file.json at --stop', () =>
    inDir(async (dir) => {
      writeFileSync(join(dir, '.model_server.pid'), '1');
      assert.deepEqual(await ts(dir, '--start'), [
        1,
        'Removing orphan pid file.\nMissing mandatory parameter --model-store\n',
      ]);
      writeFileSync(join(dir, '.model_server.pid'), '1');
      writeFileSync(join(dir, 'key_file.json'), '{}');
      assert.deepEqual(await ts(dir, '--stop'), [0, 'TorchServe already stopped.\n']);
      const io = fakeIo(dir);
      assert.equal(await davy(['token', 'show'], io), 2);
    }));

  test('serve reports a bad configuration on stdout and ends with 1', () =>
    inDir(async (dir) => {
      writeFileSync(join(dir, 'config.properties'), 'inference_address=nope\n', { mode: 0o644 });
      const io = fakeIo(dir);
      assert.equal(await davy(['serve'], io), 1);
      assert.match(io.out(), /^Invalid configuration: Invalid binding address: nope\n/);
    }));

  test('config shows every change with its origin', () =>
    inDir(async (dir) => {
      writeFileSync(join(dir, 'c.properties'), 'job_queue_size=5\n');
      const io = fakeIo(dir);
      assert.equal(await davy(['config', '--config', 'c.properties', '--changed', '--json', '--python', 'py'], io), 0);
      assert.deepEqual((JSON.parse(io.out()) as { settings: unknown }).settings, [
        { key: 'job_queue_size', value: '5', source: 'file', where: 'c.properties:1' },
        { key: 'python', value: 'py', source: 'flag', where: '--python' },
      ]);
    }));

  test('config_snapshots=false in the file keeps a snapshot from being read', () =>
    inDir(async (dir) => {
      mkdirSync(join(dir, 'logs', 'config'), { recursive: true });
      const snapshot = join(dir, 'logs', 'config', '20260101000000000-startup.cfg');
      writeFileSync(snapshot, 'job_queue_size=7\n', { mode: 0o600 });
      const sizes = [];
      for (const line of ['config_snapshots=true', 'config_snapshots=false']) {
        writeFileSync(join(dir, 'config.properties'), `${line}\njob_queue_size=8\n`, { mode: 0o600 });
        const io = fakeIo(dir);
        assert.equal(await davy(['config', '--json'], io), 0);
        const { settings } = JSON.parse(io.out()) as { settings: { key: string; value: string }[] };
        sizes.push(settings.find(({ key }) => key === 'job_queue_size')?.value);
      }
      assert.deepEqual(sizes, ['7', '8']);
    }));

  test('a configuration file that others can write is not read on its own', () =>
    inDir(async (dir) => {
      const path = join(dir, 'config.properties');
      writeFileSync(path, 'job_queue_size=5\n');
      chmodSync(path, 0o666);
      const io = fakeIo(dir);
      assert.equal(await davy(['config'], io), 1);
      assert.match(io.err(), /can be written by others/);
    }));
});

const isClient = (args: readonly string[]): boolean => args[0] !== 'token' || args[1] === 'rotate';

function answers(method: string, url: string): readonly [number, string] {
  if (url === '/ping') return [200, '{"status":"Healthy"}'];
  if (method === 'DELETE') return [405, '{"code":405,"type":"MethodNotAllowedException","message":"not allowed"}'];
  if (url.startsWith('/predictions/')) return [200, '{"class":7}'];
  if (url.startsWith('/token')) return [200, '\n'];
  if (method === 'GET' && url.startsWith('/models?')) return [200, page(url)];
  if (method === 'GET') return [200, '[{"modelVersion":"1.0","workers":[{"status":"READY"}]}]'];
  return [200, '{"status":"done"}'];
}

function page(url: string): string {
  const token = Number(new URL(url, 'http://h').searchParams.get('next_page_token'));
  const names = ['a', 'b'].slice(token, token + 1);
  const models = names.map((name) => ({ modelName: name, modelUrl: `${name}.mar` }));
  return JSON.stringify({ ...(token < 2 && { nextPageToken: String(token + 1) }), models });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A shell in `dir` without an environment; its temporary directory is `dir` too. */
function fakeIo(dir: string) {
  const texts = { out: '', err: '' };
  const collect = (name: 'out' | 'err') => ({
    write: (chunk: string | Uint8Array, done?: () => void) => {
      texts[name] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
      done?.();
    },
  });
  return {
    stdin: Readable.from([]),
    stdout: collect('out'),
    stderr: collect('err'),
    env: { TMPDIR: dir, HOME: dir },
    cwd: dir,
    out: () => texts.out,
    err: () => texts.err,
  };
}
