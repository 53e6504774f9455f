// The files and the console of a running server (surface spec 11), from what operators' greps and shippers look for.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeWithServer } from '../support/compat-suite.ts';
import type { TestStore } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

const TALKING = `
import os, sys

def handle(data, context):
    if data is None:
        return None
    word = bytes(data[0]["body"]).decode()
    if word == "die":
        os._exit(3)
    print("heard", word)
    print("a warning about", word, file=sys.stderr)
    return [word] * len(data)
`;
const TIME = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}`;
const fill = (store: TestStore): void => void store.add('talking', TALKING);

describeWithServer('log files and console', fill, { models: ['talking'] }, (suite) => {
  const lines = async (file: string, pattern: RegExp): Promise<string> => {
    const path = join(suite.server.dir, 'logs', file);
    for (let attempt = 0; attempt < 300; attempt++) {
      const found = readFileSync(path, 'utf8')
        .split('\n')
        .find((line) => pattern.test(line));
      if (found !== undefined) return found;
      await sleep(20);
    }
    return assert.fail(`no ${pattern} in ${file}:\n${readFileSync(path, 'utf8').slice(-2000)}`);
  };

  behaviour('11', 'same', 'all five files exist right after the start', () => {
    const files = readdirSync(join(suite.server.dir, 'logs')).filter((name) => name.endsWith('.log'));
    assert.deepEqual(files.toSorted(), [
      'access_log.log',
      'model_log.log',
      'model_metrics.log',
      'ts_log.log',
      'ts_metrics.log',
    ]);
  });

  behaviour(
    '11',
    'same',
    'an exchange is one line of the access log, with its query, and one of the console',
    async () => {
      await suite.server.admin('/models?limit=5');
      await lines(
        'access_log.log',
        new RegExp(`^${TIME} - /127\\.0\\.0\\.1:\\d+ "GET /models\\?limit=5 HTTP/1\\.1" 200 \\d+$`),
      );
      await suite.server.until(
        new RegExp(
          `${TIME} \\[INFO \\] \\S+ ACCESS_LOG - /127\\.0\\.0\\.1:\\d+ "GET /models\\?limit=5 HTTP/1\\.1" 200 \\d+\\n`,
        ),
      );
    },
  );

  behaviour('11', 'stricter', 'credentials in a query reach no log', async () => {
    await suite.server.admin('/models?limit=6&url=https%3A%2F%2Fh%2Fm.mar%3FX-Amz-Signature%3Ddeadbeef&token=hunter2');
    const line = await lines('access_log.log', /limit=6/);
    assert.match(line, /X-Amz-Signature%3D\[redacted\]&token=\[redacted\]/);
    assert.doesNotMatch(suite.server.output(), /deadbeef|hunter2/);
  });

  behaviour(
    '11',
    'same',
    'a worker’s stdout is INFO and its stderr is WARN, under the worker’s thread name',
    async () => {
      await suite.server.ready('talking');
      await suite.server.infer('/predictions/talking', { method: 'POST', body: 'hello' });
      await lines(
        'model_log.log',
        new RegExp(`^${TIME} \\[INFO \\] W-9000-talking_1\\.0-stdout MODEL_LOG - heard hello$`),
      );
      await lines(
        'model_log.log',
        new RegExp(`^${TIME} \\[WARN \\] W-9000-talking_1\\.0-stderr MODEL_LOG - a warning about hello$`),
      );
    },
  );

  behaviour(
    '11',
    'stricter',
    'what a client makes a handler print cannot start a line or steer a terminal',
    async () => {
      await suite.server.infer('/predictions/talking', { method: 'POST', body: 'x\u001b[31m\u0085forged' });
      await lines('model_log.log', /MODEL_LOG - heard x\\x1b\[31m\\x85forged$/);
    },
  );

  behaviour('10.4', 'same', 'the death of a worker, its retry and its recovery have TorchServe’s texts', async () => {
    await suite.server.infer('/predictions/talking', { method: 'POST', body: 'die' });
    for (const pattern of [
      /\[ERROR\] W-9000-talking_1\.0 org\.pytorch\.serve\.wlm\.WorkerThread - Backend worker error/,
      /9000 Worker disconnected\./,
      /Auto recovery start timestamp: \d{13}$/,
      /Retry worker: 9000 in 1 seconds\.$/,
      /W-9000-talking_1\.0 State change WORKER_STOPPED -> WORKER_STARTED$/,
      /Auto recovery succeeded, reset recoveryStartTS$/,
    ]) {
      await lines('ts_log.log', pattern);
    }
  });
});
