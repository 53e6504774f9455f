// The curl lines of TorchServe's documentation and of its users' scripts, run by curl itself.
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { promisify } from 'node:util';
import { describeWithServer } from '../support/compat-suite.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { PROBE, type Probed } from '../support/probe-handlers.ts';
import { PIECES } from '../support/streaming-handlers.ts';
import { behaviour } from './behaviour.ts';

const skip = spawnSync('curl', ['--version']).error !== undefined && 'curl is not installed';
const fill = (store: TestStore): void => {
  store.add('probe', PROBE);
  store.add('stream', PIECES);
  store.addArchive('noop.mar', 'noop', NOOP);
};
const hex = (value: string | Buffer): string => Buffer.from(value).toString('hex');

describeWithServer('curl', fill, { models: ['probe', 'stream'], config: ['metrics_mode=prometheus'] }, (suite) => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-curl-'));
    writeFileSync(join(dir, 'kitten.jpg'), randomBytes(3000));
    writeFileSync(join(dir, 'large.bin'), randomBytes(1_200_000));
    writeFileSync(join(dir, 'sample.json'), '{"instances": [[1, 2]]}');
    writeFileSync(join(dir, 'sample.txt'), 'Hello\nworld');
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const file = (name: string): Buffer => readFileSync(join(dir, name));
  /** What curl prints, with `{i}`, `{m}` and `{s}` for the inference, management and metrics listener. Fails as curl does. */
  const curl = async (line: string): Promise<string> => {
    const { inference, management, metrics } = suite.server;
    const places: Record<string, string> = { '{i}': inference, '{m}': management, '{s}': metrics };
    const args = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) =>
      (quoted ?? bare ?? '').replaceAll(/\{[ims]\}/g, (place) => places[place] ?? place),
    );
    const { stdout } = await promisify(execFile)('curl', ['-sS', '--max-time', '20', ...args], {
      cwd: dir,
      maxBuffer: 1 << 24,
    });
    return stdout;
  };
  const probed = async (line: string): Promise<Probed['data']> => {
    await suite.server.ready('probe');
    return (JSON.parse(await curl(line)) as Probed).data;
  };

  describe('as documented', { skip }, () => {
    behaviour(
      '2.4',
      'same',
      'curl -T file: the bytes, untyped, under body; also a file that curl announces first',
      async () => {
        const bytes = (name: string): object => ({ body: { type: 'bytearray', hex: hex(file(name)) } });
        assert.deepEqual(await probed('{i}/predictions/probe -T kitten.jpg'), bytes('kitten.jpg'));
        assert.deepEqual(await probed('-X POST {i}/predictions/probe -T kitten.jpg'), bytes('kitten.jpg'));
        assert.deepEqual(await probed('{i}/predictions/probe/1.0 -T large.bin'), bytes('large.bin'));
        assert.deepEqual(
          await probed("-H 'Transfer-Encoding: chunked' {i}/predictions/probe -T large.bin"),
          bytes('large.bin'),
        );
      },
    );

    behaviour(
      '2.4',
      'same',
      'curl -F data=@file: the part under its name, text parts as str, several parts at once',
      async () => {
        assert.deepEqual(await probed("{i}/predictions/probe -F 'data=@kitten.jpg'"), {
          data: { type: 'bytearray', hex: hex(file('kitten.jpg')) },
        });
        assert.deepEqual(await probed("-X POST {i}/predictions/probe -F 'data=@sample.txt' -F 'target=0'"), {
          data: { type: 'str', value: 'Hello\nworld' },
          target: { type: 'bytearray', hex: hex('0') },
        });
        assert.deepEqual(await probed("{i}/predictions/probe -F 'body=@sample.json;type=application/json'"), {
          body: { type: 'dict', value: { instances: [[1, 2]] } },
        });
      },
    );

    behaviour(
      '2.4',
      'same',
      'curl -d: a form without a header, JSON and text with one, and --data-binary @file',
      async () => {
        assert.deepEqual(await probed(`-X POST {i}/predictions/probe -d '{"a":1}'`), {
          '{"a":1}': { type: 'bytearray', hex: '' },
        });
        assert.deepEqual(await probed("{i}/predictions/probe -d 'data=1&more=2'"), {
          data: { type: 'bytearray', hex: hex('1') },
          more: { type: 'bytearray', hex: hex('2') },
        });
        const json = { body: { type: 'dict', value: { instances: [[1, 2]] } } };
        assert.deepEqual(
          await probed("-H 'Content-Type: application/json' {i}/predictions/probe -d @sample.json"),
          json,
        );
        assert.deepEqual(
          await probed("-H 'Content-Type: application/json' --data @sample.json {i}/v1/models/probe:predict"),
          json,
        );
        assert.deepEqual(
          await probed("-H 'Content-Type: text/plain' {i}/predictions/probe --data-binary @sample.txt"),
          {
            body: { type: 'str', value: 'Hello\nworld' },
          },
        );
      },
    );

    behaviour(
      '2.3',
      'same',
      'curl --http2 offers an upgrade, and gets its answer over HTTP/1.1; -0 gets one over 1.0',
      async () => {
        const [body, version] = (await curl(`--http2 -w '|%{http_version}' {i}/ping`)).split('|');
        assert.deepEqual([JSON.parse(body ?? ''), version], [{ status: 'Healthy' }, '1.1']);
        assert.match(await curl('-0 {i}/ping'), /Healthy/);
        assert.match(await curl('--compressed {i}/ping'), /Healthy/);
      },
    );

    behaviour('2.7', 'same', 'curl -N shows the pieces of a streamed answer', async () => {
      await suite.server.ready('stream');
      assert.equal(await curl("-N -X POST {i}/predictions/stream -d 'x'"), 'one two three');
    });

    behaviour(
      '3.1',
      'same',
      'the management lines: register, scale, describe, list, set default, unregister',
      async () => {
        const status = async (line: string): Promise<string> =>
          (JSON.parse(await curl(line)) as { status: string }).status;
        assert.equal(
          await status("-X POST '{m}/models?url=noop.mar&initial_workers=1&synchronous=true&batch_size=1'"),
          'Model "noop" Version: 1.0 registered with 1 initial workers',
        );
        assert.equal(await curl('{i}/predictions/noop'), 'OK');
        assert.equal(
          await status("-v -X PUT '{m}/models/noop?min_worker=2&synchronous=true'"),
          'Workers scaled to 2 for model: noop',
        );
        const [view] = JSON.parse(await curl('{m}/models/noop')) as { workers: unknown[] }[];
        assert.equal(view?.workers.length, 2);
        assert.match(await curl("'{m}/models?limit=2&next_page_token=0'"), /"modelName": "noop"/);
        assert.match(
          await status('-v -X PUT {m}/models/noop/1.0/set-default'),
          /^Default version successfully updated/,
        );
        assert.equal(await status('-X DELETE {m}/models/noop/1.0'), 'Model "noop" unregistered');
      },
    );

    behaviour(
      '2.4',
      'same',
      'curl on explanations, with two files of one name, and with a key nobody asks for',
      async () => {
        const bytes = (name: string): object => ({ type: 'bytearray', hex: hex(file(name)) });
        assert.deepEqual(await probed('{i}/explanations/probe -T kitten.jpg'), { body: bytes('kitten.jpg') });
        assert.deepEqual(await probed("{i}/predictions/probe -F 'data=@large.bin' -F 'data=@kitten.jpg'"), {
          data: bytes('kitten.jpg'),
        });
        assert.deepEqual(await probed("{i}/predictions/probe -T kitten.jpg -H 'Authorization: Bearer token'"), {
          body: bytes('kitten.jpg'),
        });
        assert.deepEqual(
          await probed("-H 'content-type: application/json' --data @sample.json {i}/v1/models/probe:explain"),
          { body: { type: 'dict', value: { instances: [[1, 2]] } } },
        );
      },
    );

    behaviour(
      '3.3',
      'same',
      'the lines that describe: one version, all of them, the handler’s own, and readiness',
      async () => {
        await suite.server.ready('probe');
        for (const line of ['{m}/models/probe/1.0', '{m}/models/probe/all', "'{m}/models/probe?customized=true'"]) {
          const [view] = JSON.parse(await curl(line)) as { modelName: string; modelVersion: string }[];
          assert.deepEqual([view?.modelName, view?.modelVersion], ['probe', '1.0'], line);
        }
        assert.deepEqual(JSON.parse(await curl('{m}/v1/models/probe')), { name: 'probe', ready: true });
        assert.match(
          await curl("'{s}/metrics?name[]=ts_inference_requests_total&name[]=ts_queue_latency_microseconds' -g"),
          /^# HELP ts_inference_requests_total /m,
        );
      },
    );

    behaviour('2.11', 'same', 'curl -X OPTIONS describes an API, and a scrape is one line', async () => {
      for (const line of ['-X OPTIONS {i}', '-X OPTIONS {m}', '-X OPTIONS {i}/predictions/probe']) {
        assert.match((JSON.parse(await curl(line)) as { openapi: string }).openapi, /^3\.0\./);
      }
      assert.match(await curl("'{s}/metrics?name[]=Requests2XX' --globoff"), /^# HELP Requests2XX /);
    });
  });
});
