// Listeners and ports (surface spec 1) and TLS (6.10) against the real server.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { request as secureRequest } from 'node:https';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { IncomingMessage } from 'node:http';
import { describe } from 'node:test';
import { once } from 'node:events';
import { startCompatServer } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { exchange } from '../support/http-exchange.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { freePorts } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const TLS = join(import.meta.dirname, '..', 'fixtures', 'tls');
const fill = (store: TestStore): void => store.add('noop', NOOP);

describeWithServer('listeners', fill, { models: ['noop'] }, (suite) => {
  behaviour('1.5', 'same', 'Model server started. is a line of its own on stdout', () => {
    assert.match(suite.server.output(), /^Model server started\.$/m);
  });

  behaviour(
    '1.2',
    'same',
    'addresses may be unix sockets, and an old socket file does not stand in the way',
    async () => {
      const path = join(suite.server.dir, 'i.sock');
      for (let start = 0; start < 2; start += 1) {
        await using server = await startCompatServer({
          modelStore: suite.store.dir,
          config: [`inference_address=unix:${path}`],
        });
        const outgoing = request({ socketPath: path, path: '/ping' }).end();
        const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
        assert.match(await text(incoming), /Healthy/);
        assert.equal((await server.admin('/models')).status, 200);
      }
    },
  );

  behaviour('1.1', 'same', 'all three REST listeners take unix sockets', async () => {
    const path = (name: string): string => join(suite.server.dir, `${name}.sock`);
    await using server = await startCompatServer({
      modelStore: suite.store.dir,
      config: ['inference', 'management', 'metrics'].map((name) => `${name}_address=unix:${path(name)}`),
    });
    const ask = async (name: string, target: string): Promise<string> => {
      const outgoing = request({ socketPath: path(name), path: target }).end();
      const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
      assert.equal(incoming.statusCode, 200);
      return text(incoming);
    };
    assert.match(await ask('inference', '/ping'), /Healthy/);
    assert.deepEqual(JSON.parse(await ask('management', '/models')), { models: [] });
    await ask('metrics', '/metrics');
    assert.equal(await server.stop(), 0);
  });

  behaviour(
    '1.1',
    'stricter',
    'workers listen nowhere: their numbers count up from 9000, and nothing is there',
    async () => {
      const { workers } = await suite.server.ready('noop');
      assert.equal(workers[0]?.id, '9000');
      // TMPDIR of this server, where TorchServe has `.ts.sock.9000`.
      const names = readdirSync(suite.server.dir, { recursive: true }).map(String);
      assert.deepEqual(
        names.filter((name) => name.includes('.sock')),
        [],
      );
      assert.doesNotMatch(readFileSync(`/proc/${workers[0].pid}/net/unix`, 'utf8'), /\.ts\.sock/);
    },
  );

  behaviour('1.4', 'same', 'equal inference and management addresses make one listener for both', async () => {
    const [port] = await freePorts(1);
    const address = `http://127.0.0.1:${port}`;
    await using server = await startCompatServer({
      modelStore: suite.store.dir,
      models: ['noop'],
      config: [`inference_address=${address}`, `management_address=${address}`],
    });
    assert.equal((await exchange(`${address}/predictions/noop`)).text, 'OK');
    assert.equal((await exchange(`${address}/models/noop`)).status, 200);
    assert.equal((await exchange(`${address}/metrics`)).status, 200);
    assert.equal((await exchange(`${server.metrics}/metrics`)).status, 200);
    assert.equal((await exchange(`${address}/models/noop/invoke`)).text, 'OK');
  });

  behaviour(
    '1.4',
    'stricter',
    'on a combined listener versions can be managed, which TorchServe answers with 404',
    async () => {
      const [port] = await freePorts(1);
      const address = `http://127.0.0.1:${port}`;
      await using server = await startCompatServer({
        modelStore: suite.store.dir,
        models: ['noop'],
        config: [`inference_address=${address}`, `management_address=${address}`, 'disable_token_authorization=false'],
      });
      const authorization = (name: 'inference' | 'management'): Record<string, string> => ({
        authorization: `Bearer ${server.key(name)}`,
      });
      assert.equal(
        (await exchange(`${address}/models/noop/1.0`, { headers: authorization('management') })).status,
        200,
      );
      assert.equal((await exchange(`${address}/predictions/noop`, { headers: authorization('inference') })).text, 'OK');
      assert.equal((await exchange(`${address}/models/noop/1.0`, { headers: authorization('inference') })).status, 400);
    },
  );

  behaviour('1.1', 'stricter', 'an address other than loopback needs TLS or an explicit --insecure-bind', async () => {
    const [port] = await freePorts(1);
    const config = [`inference_address=http://0.0.0.0:${port}`];
    await assert.rejects(startCompatServer({ modelStore: suite.store.dir, config }), /insecure-bind|TLS/i);
    await using server = await startCompatServer({ modelStore: suite.store.dir, config, flags: ['--insecure-bind'] });
    assert.equal((await exchange(`http://127.0.0.1:${port}/ping`)).status, 200);
    assert.equal((await server.admin('/models')).status, 200);
  });

  behaviour('7.4', 'same', 'enable_metrics_api=false opens no metrics listener', async () => {
    await using server = await startCompatServer({ modelStore: suite.store.dir, config: ['enable_metrics_api=false'] });
    await assert.rejects(exchange(`${server.metrics}/metrics`), { code: 'ECONNREFUSED' });
  });
});

describeWithServer('TLS', fill, {}, (suite) => {
  const ca = ['ca.crt', 'rsa.crt', 'ec.crt'].map((name) => readFileSync(join(TLS, name)));
  const secure = async (
    url: string,
    method = 'GET',
    rejectUnauthorized = true,
  ): Promise<{ status: number; text: string }> => {
    const outgoing = secureRequest(url, {
      method,
      ca,
      agent: false,
      servername: 'localhost',
      rejectUnauthorized,
    }).end();
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    return { status: incoming.statusCode ?? 0, text: await text(incoming) };
  };
  /** A copy that only its owner may read, which no checkout preserves. */
  const material = (name: string): string => {
    const folder = join(suite.server.dir, 'tls');
    mkdirSync(folder, { recursive: true });
    copyFileSync(join(TLS, name), join(folder, name));
    chmodSync(join(folder, name), 0o600);
    return join(folder, name);
  };
  const serve = async (lines: readonly string[], tests: (bases: readonly string[]) => Promise<void>): Promise<void> => {
    const ports = await freePorts(3);
    const bases = ports.map((port) => `https://127.0.0.1:${port}`);
    await using _server = await startCompatServer({
      modelStore: suite.store.dir,
      config: [
        `inference_address=${bases[0]}`,
        `management_address=${bases[1]}`,
        `metrics_address=${bases[2]}`,
        ...lines,
      ],
    });
    await tests(bases);
  };

  describe('by files', () => {
    behaviour('6.10', 'same', 'certificate_file and private_key_file in PEM serve all three listeners', () =>
      serve(
        [`certificate_file=${material('rsa.crt')}`, `private_key_file=${material('rsa-pkcs1.key')}`],
        async ([inference, management, metrics]) => {
          for (const base of [inference, management, metrics])
            assert.equal((await secure(`${base}/`, 'OPTIONS')).status, 200);
          assert.equal((await secure(`${management}/models?url=noop&initial_workers=1`, 'POST')).status, 200);
          assert.equal((await secure(`${management}/models/noop`)).status, 200);
          assert.equal((await secure(`${management}/models/noop?min_worker=1`, 'PUT')).status, 202);
          assert.equal((await secure(`${management}/models/noop?min_worker=1&synchronous=true`, 'PUT')).status, 200);
          assert.equal((await secure(`${inference}/predictions/noop`, 'POST')).text, 'OK');
          assert.equal((await secure(`${management}/models/noop`, 'DELETE')).status, 200);
        },
      ),
    );

    behaviour('1.4', 'same', 'of equal addresses the scheme is ignored: inference_address decides on TLS', async () => {
      const [port] = await freePorts(1);
      await using _server = await startCompatServer({
        modelStore: suite.store.dir,
        config: [
          `inference_address=https://127.0.0.1:${port}`,
          `management_address=http://127.0.0.1:${port}`,
          `certificate_file=${material('rsa.crt')}`,
          `private_key_file=${material('rsa-pkcs8.key')}`,
        ],
      });
      for (const path of ['/ping', '/models']) {
        assert.equal((await secure(`https://127.0.0.1:${port}${path}`)).status, 200);
      }
      assert.equal((await exchange(`http://127.0.0.1:${port}/models`)).status, 403);
    });

    behaviour('2.10', 'same', 'clear text on a TLS port is 403 with a hint', () =>
      serve(
        [`certificate_file=${material('rsa.crt')}`, `private_key_file=${material('rsa-pkcs8.key')}`],
        async ([inference]) => {
          const answer = await exchange(`${inference!.replace('https', 'http')}/ping`);
          assert.equal(answer.status, 403);
          assert.deepEqual(answer.json(), { status: 'This TorchServe instance only accepts HTTPS requests' });
        },
      ),
    );

    behaviour('6.10', 'same', 'a keystore in PKCS12 or JKS does as well', async () => {
      for (const [file, type] of [
        ['store.p12', 'PKCS12'],
        ['store.jks', 'JKS'],
      ] as const) {
        await serve(
          [`keystore=${material(file)}`, 'keystore_pass=changeit', `keystore_type=${type}`],
          async ([inference]) => {
            // The stores hold certificates of their own, which nobody signed.
            assert.equal((await secure(`${inference}/ping`, 'GET', false)).status, 200);
          },
        );
      }
    });

    behaviour(
      '6.10',
      'stricter',
      'without any material the start is refused: nobody gets a certificate that nobody can check',
      async () => {
        await assert.rejects(
          serve([], async () => {}),
          /certificate_file|keystore/,
        );
      },
    );
  });
});
