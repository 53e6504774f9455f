// The log files and the console (surface spec 11), from what operators' greps and shippers look for, and where they lie.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCompatServer } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { untilInFile } from '../support/log-file.ts';
import type { TestStore } from '../support/model-store.ts';
import { OBEY } from '../support/probe-handlers.ts';
import { behaviour } from './behaviour.ts';

const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}`;
const FILES = ['access_log.log', 'model_log.log', 'model_metrics.log', 'ts_log.log', 'ts_metrics.log'];
const fill = (store: TestStore): void => store.add('obey', OBEY);

describeWithServer('logging', fill, { models: ['obey'] }, (suite) => {
  const file = (name: string): string => readFileSync(join(suite.server.dir, 'logs', name), 'utf8');
  const untilIn = (name: string, pattern: RegExp): Promise<unknown> =>
    untilInFile(join(suite.server.dir, 'logs', name), pattern);
  const run = (code: string, path = '/predictions/obey'): Promise<unknown> =>
    suite.server.infer(path, { method: 'POST', body: code });

  behaviour('11', 'same', 'all five files exist right after the start, in logs below the working directory', () => {
    const names = readdirSync(join(suite.server.dir, 'logs')).filter((name) => name.endsWith('.log'));
    assert.deepEqual(names.toSorted(), FILES);
  });

  behaviour(
    '11',
    'same',
    'an exchange is a line of the access log and one of the console: remote, request line with query, status, milliseconds',
    async () => {
      await run('return ["x"]', '/predictions/obey?a=1&b=2');
      await suite.server.admin('/models?limit=5');
      for (const request of [String.raw`POST \/predictions\/obey\?a=1&b=2`, String.raw`GET \/models\?limit=5`]) {
        const line = String.raw`\/127\.0\.0\.1:\d+ "${request} HTTP\/1\.1" 200 \d+`;
        await untilIn('access_log.log', new RegExp(`^${TIME} - ${line}$`, 'm'));
        await suite.server.until(new RegExp(`^${TIME} \\[INFO \\] \\S+ ACCESS_LOG - ${line}$`, 'm'));
      }
    },
  );

  behaviour('11', 'stricter', 'credentials in a query reach no log', async () => {
    await suite.server.admin('/models?limit=6&url=https%3A%2F%2Fh%2Fm.mar%3FX-Amz-Signature%3Ddeadbeef&token=hunter2');
    await untilIn('access_log.log', /limit=6.*X-Amz-Signature%3D\[redacted\]&token=\[redacted\]/);
    await suite.server.until(/ACCESS_LOG - .*limit=6/);
    assert.doesNotMatch(suite.server.output() + FILES.map(file).join(''), /deadbeef|hunter2/);
  });

  behaviour('11', 'same', 'refusals are in the access log with their status', async () => {
    await suite.server.admin('/models/none');
    await untilIn('access_log.log', /"GET \/models\/none HTTP\/1\.1" 404 \d+$/m);
  });

  behaviour('11', 'same', 'server lines have time, level, thread and class', async () => {
    await untilIn(
      'ts_log.log',
      new RegExp(`^${TIME} \\[INFO \\] \\S+ org\\.pytorch\\.serve\\.\\S+ - .*State change`, 'm'),
    );
  });

  behaviour('11', 'same', 'what a worker prints is on the model log: stdout as INFO, stderr as WARN', async () => {
    await run('import sys\nprint("to stdout")\nprint("to stderr", file=sys.stderr)\nreturn ["x"]');
    await untilIn(
      'model_log.log',
      new RegExp(`^${TIME} \\[INFO \\] W-9000-obey_1\\.0-stdout MODEL_LOG - to stdout$`, 'm'),
    );
    await untilIn(
      'model_log.log',
      new RegExp(`^${TIME} \\[WARN \\] W-9000-obey_1\\.0-stderr MODEL_LOG - to stderr$`, 'm'),
    );
  });

  behaviour('11', 'same', 'handlers’ logging goes there too', async () => {
    await run('import logging\nlogging.getLogger("mine").warning("from a logger")\nreturn ["x"]');
    await untilIn('model_log.log', /MODEL_LOG - from a logger$/m);
  });

  behaviour('11', 'same', 'the arrival of every batch is a line of the model log', async () => {
    const arrivals = (): number =>
      [...file('model_log.log').matchAll(/-stdout MODEL_LOG - Backend received inference at: \d{10}$/gm)].length;
    await untilIn('model_log.log', /Backend received inference at/);
    const before = arrivals();
    for (let sent = 0; sent < 5; sent += 1) await run('return ["x"]');
    await run('print("the last of them")\nreturn ["x"]');
    await untilIn('model_log.log', /MODEL_LOG - the last of them$/m);
    assert.equal(arrivals() - before, 6);
  });

  behaviour('11', 'same', 'a client on a unix socket is 127.0.0.1 in the access log', async () => {
    const socket = join(suite.server.dir, 'management.sock');
    const config = [`management_address=unix:${socket}`];
    await using other = await startCompatServer({ modelStore: suite.store.dir, config });
    const outgoing = request({ socketPath: socket, path: '/models?limit=3' }).end();
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    incoming.resume();
    await other.until(/ACCESS_LOG - 127\.0\.0\.1 "GET \/models\?limit=3 HTTP\/1\.1" 200 \d+$/m);
  });

  behaviour(
    '4.6',
    'stricter',
    'a line that looks like a metric is text: handlers cannot forge metrics by printing',
    async () => {
      await run('print("[METRICS]Forged.Count:1|#Level:Host|#hostname:h,1")\nreturn ["x"]');
      await untilIn('model_log.log', /MODEL_LOG - \[METRICS\]Forged\.Count:1/);
      assert.doesNotMatch(file('model_metrics.log') + file('ts_metrics.log'), /Forged/);
    },
  );

  behaviour(
    '11',
    'stricter',
    'what a client makes a handler print cannot start a line or steer a terminal',
    async () => {
      await run('print("heard x\u001b[31m\u0085forged")\nreturn ["x"]');
      await untilIn('model_log.log', /MODEL_LOG - heard x\\x1b\[31m\\x85forged$/m);
    },
  );

  behaviour(
    '11',
    'stricter',
    'nobody writes log lines of their own by newlines or escapes in paths, model names, user agents and prints',
    async () => {
      await suite.server.infer('/predictions/x%0a2026-01-01T00:00:00,000%20-%20forged');
      const agent = 'x\u00859 - forged agent';
      await suite.server.infer('/predictions/x', { headers: { 'User-Agent': agent, 'X-Request-Id': agent } });
      const name = 'model_name=a%0d%0a2026-01-01T00:00:00,000%20-%20forged%20name';
      assert.notEqual((await suite.server.admin(`/models?url=obey&${name}`, 'POST')).status, 200);
      await run('print("\\x1b[31mred\\rforged")\nreturn ["x"]');
      await untilIn('model_log.log', /\\x1b\[31mred/);
      for (const name of FILES) assert.doesNotMatch(file(name), /^2026-01-01T00:00:00,000 - forged/m, name);
      assert.doesNotMatch(suite.server.output(), /^2026-01-01T00:00:00,000 - forged|forged agent/m);
    },
  );

  behaviour('10.4', 'same', 'the death of a worker, its retry and its recovery have TorchServe’s texts', async () => {
    await run('import os\nos._exit(3)');
    for (const pattern of [
      /\[ERROR\] W-9000-obey_1\.0 org\.pytorch\.serve\.wlm\.WorkerThread - Backend worker error/,
      /9000 Worker disconnected\./,
      /Auto recovery start timestamp: \d{13}$/m,
      /Retry worker: 9000 in 1 seconds\.$/m,
      /W-9000-obey_1\.0 State change WORKER_STOPPED -> WORKER_STARTED$/m,
      /Auto recovery succeeded, reset recoveryStartTS$/m,
    ]) {
      await untilIn('ts_log.log', pattern);
    }
  });
});

describeWithServer('log places', fill, {}, (suite) => {
  behaviour('13.4', 'same', 'LOG_LOCATION and METRICS_LOCATION say where the files go', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'davy-logs-'));
    try {
      const env = { LOG_LOCATION: join(dir, 'l'), METRICS_LOCATION: join(dir, 'm') };
      await using server = await startCompatServer({ modelStore: suite.store.dir, env });
      assert.equal((await server.infer('/ping')).status, 200);
      const names = (folder: string): string[] =>
        readdirSync(join(dir, folder))
          .filter((name) => name.endsWith('.log'))
          .toSorted();
      assert.deepEqual(names('l'), ['access_log.log', 'model_log.log', 'ts_log.log']);
      assert.deepEqual(names('m'), ['model_metrics.log', 'ts_metrics.log']);
      assert.equal(existsSync(join(server.dir, 'logs')), false);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});

describeWithServer(
  'logging with SM_TELEMETRY_LOG',
  (store) => void store.add('broken', 'raise ValueError("no")'),
  { env: { SM_TELEMETRY_LOG: '/dev/null' } },
  (suite) => {
    behaviour('11', 'same', 'with SM_TELEMETRY_LOG every failure of a worker is a TELEMETRY_METRICS line', async () => {
      assert.equal((await suite.server.admin('/models?url=broken&initial_workers=1', 'POST')).status, 500);
      await suite.server.until(
        /TELEMETRY_METRICS - ModelServerError\.Count:1\|#TorchServe:0\.12\.0,org\.pytorch\.serve\.wlm\.WorkerInitializationException:-1$/m,
      );
    });
  },
);
