import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Announcements, type WorkerEvent } from '../../serving/index.ts';
import { clockAt } from '../../../test/support/manual-clock.ts';
import { createLogs, type Logs } from './logs.ts';

const START = new Date(2024, 4, 30, 21, 46, 3, 625).getTime();
const TIME = '2024-05-30T21:46:03,625';

interface Opened {
  readonly logs: Logs;
  readonly announcements: Announcements;
  readonly directory: string;
  readonly clock: ReturnType<typeof clockAt>;
  lines(file: string): Promise<string[]>;
}

async function open(t: TestContext, format: 'text' | 'json' = 'text'): Promise<Opened> {
  const directory = await mkdtemp(join(tmpdir(), 'davy-logs-'));
  const announcements = new Announcements();
  const clock = clockAt(START);
  const logs = await createLogs({
    announcements,
    format,
    logDir: directory,
    metricsDir: directory,
    consoleFd: undefined,
    clock,
  });
  t.after(async () => {
    await logs[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  });
  const lines = async (file: string): Promise<string[]> => {
    await logs.flush();
    return (await readFile(join(directory, file), 'utf8')).split('\n').slice(0, -1);
  };
  return { logs, announcements, directory, clock, lines };
}

const worker = (event: WorkerEvent['event']): WorkerEvent => ({ workerId: '9000', model: 'm', version: '1.0', event });
const SERVER = 'W-9000-m_1.0 org.pytorch.serve.wlm.WorkerThread';

test('no file stays open where one of them cannot be opened', async (t) => {
  const { directory, announcements } = await open(t);
  const logDir = join(directory, 'second');
  const blocked = join(directory, 'blocked');
  await writeFile(blocked, '');
  const options = { announcements, format: 'text', logDir, metricsDir: blocked, consoleFd: undefined } as const;
  await assert.rejects(createLogs(options), { code: 'invalid_configuration' });
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  assert.deepEqual(
    links.filter((path) => path.startsWith(logDir)),
    [],
  );
  assert.equal((await readdir(logDir)).length, 3);
});

test('all five files exist right after the start', async (t) => {
  const { directory } = await open(t);
  assert.deepEqual((await readdir(directory)).toSorted(), [
    'access_log.log',
    'model_log.log',
    'model_metrics.log',
    'ts_log.log',
    'ts_metrics.log',
  ]);
});

test("each kind of line goes to its file in TorchServe's pattern", async (t) => {
  const { logs, announcements, lines } = await open(t);
  announcements.access.publish({
    listener: 'management',
    remote: '127.0.0.1:5',
    method: 'GET',
    target: '/models',
    protocol: 'HTTP/1.1',
    status: 200,
    durationMs: 3,
    requestId: undefined,
  });
  announcements.worker.publish(worker({ kind: 'output', stream: 'stderr', line: 'Traceback\u001b[0m token=abc' }));
  logs.metricLine('ts_metrics', 'Requests2XX.Count:1.0|#Level:Host|#hostname:h,timestamp:1717105307');
  logs.say('info', 'Inference address: http://127.0.0.1:8080');
  assert.deepEqual(await lines('access_log.log'), [`${TIME} - /127.0.0.1:5 "GET /models HTTP/1.1" 200 3`]);
  assert.deepEqual(await lines('model_log.log'), [
    `${TIME} [WARN ] W-9000-m_1.0-stderr MODEL_LOG - Traceback\\x1b[0m token=[redacted]`,
  ]);
  assert.deepEqual(await lines('ts_metrics.log'), [
    `${TIME} - Requests2XX.Count:1.0|#Level:Host|#hostname:h,timestamp:1717105307`,
  ]);
  assert.deepEqual(await lines('ts_log.log'), [
    `${TIME} [INFO ] main org.pytorch.serve.ModelServer - Inference address: http://127.0.0.1:8080`,
  ]);
});

test("a worker's outage reads as in TorchServe", async (t) => {
  const { announcements, lines } = await open(t);
  const events: WorkerEvent['event'][] = [
    { kind: 'state', from: 'WORKER_STARTED', to: 'WORKER_MODEL_LOADED' },
    { kind: 'died', cause: { kind: 'response_timeout', afterMs: 2000 } },
    { kind: 'unsuccessful_inference', consecutive: 1 },
    { kind: 'retry', inSeconds: 1 },
    { kind: 'died', cause: { kind: 'startup_timeout', afterMs: 5000 } },
    { kind: 'retry', inSeconds: 1 },
    { kind: 'loaded', loadMs: 12 },
  ];
  for (const event of events) announcements.worker.publish(worker(event));
  const at = (level: string, message: string): string => `${TIME} [${level}] ${SERVER} - ${message}`;
  assert.deepEqual(await lines('ts_log.log'), [
    at('INFO ', 'W-9000-m_1.0 State change WORKER_STARTED -> WORKER_MODEL_LOADED'),
    at('ERROR', 'Backend worker error: W-9000-m_1.0 did not answer within 2000 ms'),
    at('INFO ', '9000 Worker disconnected. W-9000-m_1.0 did not answer within 2000 ms'),
    at('INFO ', 'Number or consecutive unsuccessful inference 1'),
    at('INFO ', `Auto recovery start timestamp: ${START}`),
    at('INFO ', 'Retry worker: 9000 in 1 seconds.'),
    at('ERROR', 'Backend worker error'),
    at('ERROR', 'org.pytorch.serve.wlm.WorkerInitializationException: Backend worker did not respond in given time'),
    at('INFO ', '9000 Worker disconnected. W-9000-m_1.0 did not load the model within 5000 ms'),
    at('INFO ', 'Auto recovery failed again'),
    at('INFO ', 'Retry worker: 9000 in 1 seconds.'),
    at('INFO ', 'W-9000-m_1.0 loaded its model in 12 ms'),
    at('INFO ', 'Auto recovery succeeded, reset recoveryStartTS'),
  ]);
});

test('a flood of output is limited for its worker, and the loss is told', async (t) => {
  const { announcements, clock, lines } = await open(t);
  for (let line = 0; line < 9000; line++)
    announcements.worker.publish(worker({ kind: 'output', stream: 'stdout', line: 'x' }));
  announcements.worker.publish({ ...worker({ kind: 'output', stream: 'stdout', line: 'other' }), workerId: '9001' });
  clock.advance(1000);
  announcements.worker.publish(worker({ kind: 'output', stream: 'stdout', line: 'calm again' }));
  const written = await lines('model_log.log');
  assert.equal(written.length, 8000 + 3);
  assert.match(written[8000] ?? '', /W-9001-m_1\.0-stdout MODEL_LOG - other$/);
  assert.match(written[8001] ?? '', /1000 lines of this worker's output were dropped/);
});

test('in json format every line is one object', async (t) => {
  const { announcements, lines } = await open(t, 'json');
  announcements.notice.publish({ level: 'warn', message: 'a\nb "quoted"', detail: { n: 1 } });
  const [line = ''] = await lines('ts_log.log');
  assert.deepEqual(JSON.parse(line), {
    level: 'warn',
    time: new Date(START).toISOString(),
    stream: 'server',
    logger: 'org.pytorch.serve.ModelServer',
    thread: 'main',
    message: 'a\\nb "quoted" { n: 1 }',
  });
});
