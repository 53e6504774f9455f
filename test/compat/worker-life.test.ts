// The life of workers (surface spec 10) as clients and the log see it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorBody } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { eventually } from '../support/eventually.ts';
import { NOOP, SLOW_ECHO, type TestStore } from '../support/model-store.ts';
import { OBEY, PROBE, type Probed } from '../support/probe-handlers.ts';
import { portOf } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const one = (lines: string): { config: string } => ({ config: `minWorkers: 1\nmaxWorkers: 1\n${lines}` });
const SLOW_LOAD = (seconds: number): string => `
import time

def handle(data, context):
    if data is None:
        time.sleep(${seconds})
        return None
    return ["OK"] * len(data)
`;
/** The digit it was given, after a moment in which others may overtake. */
const ASYNC = `
import asyncio

class Digit(object):
    def initialize(self, context):
        pass

    async def handle(self, data, context):
        await asyncio.sleep(0.5)
        return [bytes(row["body"]).decode() for row in data]
`;

const fill = (store: TestStore): void => {
  store.add('obey', OBEY);
  store.add('sleepy', SLOW_ECHO, one('responseTimeout: 1\n'));
  store.add('late', SLOW_LOAD(3), { config: 'startupTimeout: 1\n' });
  store.add('patient', SLOW_LOAD(2), { config: 'startupTimeout: 30\nresponseTimeout: 1\n' });
  store.add('batch', PROBE, one('batchSize: 2\nmaxBatchDelay: 5000\n'));
  store.add('expiring', SLOW_ECHO, one('clientTimeoutInMills: 100\n'));
  store.add('queue', SLOW_ECHO, one('jobQueueSize: 3\n'));
  store.add('ticket', SLOW_ECHO, one('useJobTicket: true\n'));
  store.add('digits', ASYNC, one('asyncCommunication: true\n'));
  store.add('brief', 'raise ValueError("never")\n', { config: 'maxRetryTimeoutInSec: 0\n' });
  store.add('noop', NOOP);
};
const models = ['obey', 'sleepy', 'batch', 'expiring', 'queue', 'ticket', 'digits'];
const config = ['initial_worker_port=9000', 'worker_env_allow=TS_VISIBLE', 'blacklist_env_vars=TS_HID.*'];
const env = { TS_VISIBLE: 'seen', TS_HIDDEN: 'no', SECRET_OF_THE_SERVER: 'no' };

const noWorker = (model: string): string =>
  errorBody(
    503,
    'ServiceUnavailableException',
    `Model "${model}" has no worker to serve inference request. Please use scale workers API to add workers. If this is a sequence inference, please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize`,
  );

describeWithServer('workers', fill, { models, config, env }, (suite) => {
  const say = (model: string, body: string): Promise<{ status: number; text: string }> =>
    suite.server.infer(`/predictions/${model}`, { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body });
  const since = async (work: () => Promise<unknown>): Promise<string> => {
    const length = suite.server.output().length;
    await work();
    return suite.server.output().slice(length);
  };

  /** Resolves when the model's first request is in a worker's hands. */
  const isBusy = (model: string): Promise<unknown> =>
    suite.server.until(new RegExp(`-${model}_1\\.0-stdout MODEL_LOG - Backend received inference`));

  describe('that are started', () => {
    behaviour('10.1', 'same', 'say their pid and Torch worker started. on the model log', async () => {
      await suite.server.ready('obey');
      await suite.server.until(/W-\d+-obey_1\.0-stdout MODEL_LOG - \[PID\]\d+/);
      await suite.server.until(/W-\d+-obey_1\.0-stdout MODEL_LOG - Torch worker started\./);
    });

    behaviour('10.2', 'same', 'log every change of state in the reference’s words', async () => {
      await suite.server.until(/W-9000-obey_1\.0 State change null -> WORKER_STARTED/);
      await suite.server.until(/W-9000-obey_1\.0 State change WORKER_STARTED -> WORKER_MODEL_LOADED/);
    });

    behaviour(
      '10.1',
      'stricter',
      'get only the environment that worker_env_allow names, less blacklist_env_vars',
      async () => {
        const names = ['TS_VISIBLE', 'TS_HIDDEN', 'SECRET_OF_THE_SERVER'];
        const code = `import os\nreturn [",".join(os.environ.get(name, "-") for name in ${JSON.stringify(names)})]`;
        assert.equal((await suite.server.infer('/predictions/obey', { method: 'POST', body: code })).text, 'seen,-,-');
      },
    );

    behaviour('10.1', 'same', 'work in the directory of their model, which is on their module path', async () => {
      const code = 'import os, sys\nreturn [str(os.path.exists("obey.py") and os.getcwd() in sys.path)]';
      assert.equal((await suite.server.infer('/predictions/obey', { method: 'POST', body: code })).text, 'True');
    });

    behaviour('10.10', 'same', 'have no GPU on a machine without one', async () => {
      const code = 'return [str(context.system_properties["gpu_id"])]';
      assert.equal((await suite.server.infer('/predictions/obey', { method: 'POST', body: code })).text, 'None');
    });
  });

  describe('that die', () => {
    behaviour('10.4', 'same', 'are retried after 1, 1, 2, 3 … seconds, and the log follows the outage', async () => {
      await suite.server.ready('obey');
      const log = await since(async () => {
        await suite.server.infer('/predictions/obey', { method: 'POST', body: 'import os\nos._exit(1)' });
        await suite.server.ready('obey');
        await suite.server.until(/Auto recovery succeeded, reset recoveryStartTS/);
      });
      const order = [
        /Worker disconnected/,
        /State change WORKER_MODEL_LOADED -> WORKER_STOPPED/,
        /Auto recovery start timestamp: \d{13}/,
        /Retry worker: 9000 in 1 seconds\./,
      ];
      let at = 0;
      for (const pattern of order) {
        const found = log.slice(at).search(pattern);
        assert.ok(found >= 0, `${pattern} after ${at} in:\n${log}`);
        at += found;
      }
    });

    behaviour('10.4', 'same', 'keep their id, so that the worker name in logs and describe stays', async () => {
      assert.equal((await suite.server.view('obey')).workers[0]!.id, '9000');
    });

    behaviour('10.4', 'same', 'are given up after maxRetryTimeoutInSec, until somebody scales the model', async () => {
      await suite.server.admin('/models?url=brief&initial_workers=0', 'POST');
      await suite.server.admin('/models/brief?min_worker=1', 'PUT');
      await suite.server.until(/W-\d+-brief_1\.0 State change \w+ -> WORKER_(?:ERROR|STOPPED)/);
      await suite.server.until(/W-\d+-brief_1\.0 was down for longer than maxRetryTimeoutInSec/);
      assert.equal((await suite.server.infer('/ping')).status, 500);
      await suite.server.admin('/models/brief', 'DELETE');
    });

    behaviour('10.4', 'same', 'do not lose requests that wait: a crashing worker’s model accepts them', async () => {
      const crash = suite.server.infer('/predictions/obey', { method: 'POST', body: 'import os\nos._exit(1)' });
      assert.equal((await crash).status, 500);
      const waiting = await suite.server.infer('/predictions/obey', { method: 'POST', body: 'return ["after"]' });
      assert.deepEqual([waiting.status, waiting.text], [200, 'after']);
    });
  });

  describe('that take too long', () => {
    behaviour('13.4', 'same', 'to answer: 500 Worker died., a restart, and the texts that alerts grep', async () => {
      await suite.server.ready('sleepy');
      const from = suite.server.output().length;
      const log = (): string => suite.server.output().slice(from);
      const answer = await say('sleepy', '5:late');
      assert.deepEqual([answer.status, answer.text], [500, errorBody(500, 'InternalServerException', 'Worker died.')]);
      for (const words of [
        /Number or consecutive unsuccessful inference 1/,
        /Worker disconnected/,
        /Retry worker/,
        /Auto recovery succeeded, reset recoveryStartTS/,
      ]) {
        await eventually(String(words), () => words.test(log()));
      }
      assert.doesNotMatch(log(), /Auto recovery failed again/);
      assert.equal((await say('sleepy', '0:again')).text, 'again');
    });

    behaviour(
      '13.4',
      'same',
      'to load: 202, then Backend worker error with the exception on the next line',
      async () => {
        const answer = await suite.server.admin('/models?url=late&initial_workers=1&synchronous=false', 'POST');
        assert.equal(answer.status, 202);
        await suite.server.until(
          /Backend worker error\n[^\n]*org\.pytorch\.serve\.wlm\.WorkerInitializationException: Backend worker did not respond in given time/,
        );
        await suite.server.admin('/models/late', 'DELETE');
      },
    );

    behaviour('13.4', 'same', 'a start within startupTimeout is READY, however short responseTimeout is', async () => {
      const answer = await suite.server.admin('/models?url=patient&initial_workers=1', 'POST');
      assert.equal(answer.status, 200);
      assert.equal((await suite.server.view('patient')).workers[0]!.status, 'READY');
      await suite.server.admin('/models/patient', 'DELETE');
    });
  });

  describe('and their queue', () => {
    /** Sends a pair while the only worker of `batch` is busy, until the two travelled together: they may arrive apart. */
    const together = async (paths: readonly [string, string]): Promise<readonly Probed[]> => {
      await suite.server.ready('batch');
      let probes: readonly Probed[] = [];
      const isPair = (): boolean => probes.length === 2 && probes.every(({ batch }) => batch === 2);
      for (let tries = 0; tries < 20 && !isPair(); tries += 1) {
        const busy = suite.server.infer('/predictions/batch', { headers: { 'X-Sleep': '0.1' } });
        await sleep(40);
        probes = (await Promise.all(paths.map((path) => suite.server.infer(path)))).map((answer) => answer.json());
        await busy;
      }
      return probes;
    };

    behaviour('10.6', 'same', 'requests that come together travel together, up to batchSize', async () => {
      const probes = await together(['/predictions/batch', '/predictions/batch']);
      assert.deepEqual(
        probes.map(({ batch }) => batch),
        [2, 2],
      );
    });

    behaviour('13.4', 'same', 'url_path belongs to its own request, in a batch with another', async () => {
      const probes = await together(['/predictions/batch/1.0/v1/chat/completion', '/predictions/batch/1.0/other']);
      assert.deepEqual(
        probes.map(({ headers, batch }) => [headers['url_path'], batch]),
        [
          ['v1/chat/completion', 2],
          ['other', 2],
        ],
      );
    });

    behaviour(
      '10.6',
      'stricter',
      'a lone request does not wait maxBatchDelay when nobody else is being served',
      async () => {
        const started = performance.now();
        assert.equal((await suite.server.infer('/predictions/batch')).json<Probed>().batch, 1);
        assert.ok(performance.now() - started < 2500);
      },
    );

    behaviour('10.6', 'same', 'a full queue is 503, and describe shows what waits', async () => {
      await suite.server.ready('queue');
      const first = say('queue', '1.5:x');
      await isBusy('queue');
      const requests = Array.from({ length: 8 }, () => say('queue', '0:x'));
      await eventually('the queue is full', async () => {
        const { remainingCapacity, pendingRequests } = (await suite.server.view('queue')).jobQueueStatus;
        return remainingCapacity === 0 && pendingRequests === 3;
      });
      const answers = await Promise.all([first, ...requests]);
      const statuses = answers.map(({ status }) => status);
      for (const { status, text } of answers) if (status === 503) assert.equal(text, noWorker('queue'));
      assert.ok(statuses.filter((status) => status === 200).length >= 4, statuses.join());
      assert.ok(statuses.filter((status) => status === 503).length >= 4, statuses.join());
    });

    behaviour('10.6', 'same', 'with job tickets a request is refused with 503 while no worker is idle', async () => {
      await suite.server.ready('ticket');
      const first = say('ticket', '1:x');
      await isBusy('ticket');
      const refused = await say('ticket', '0:y');
      assert.deepEqual([refused.status, refused.text], [503, noWorker('ticket')]);
      assert.equal((await first).status, 200);
      await suite.server.until(/There are no job tickets available/);
      assert.equal((await say('ticket', '0:z')).text, 'z');
    });

    behaviour(
      '10.5',
      'stricter',
      'a request that waits longer than clientTimeoutInMills is answered once with 504, where TorchServe stays silent',
      async () => {
        await suite.server.ready('expiring');
        const started = performance.now();
        const [first, second] = await Promise.all([say('expiring', '2:x'), say('expiring', '0:y')]);
        assert.deepEqual([first.status, second.status], [504, 504]);
        assert.ok(performance.now() - started < 1500);
      },
    );

    behaviour(
      '10.6',
      'same',
      'with asyncCommunication requests overtake: ten of 500 ms take far less than five seconds',
      async () => {
        await suite.server.ready('digits');
        const started = performance.now();
        const digits = Array.from({ length: 10 }, (_, digit) => String(digit));
        const answers = await Promise.all(
          digits.map(async (body) => (await suite.server.infer('/predictions/digits', { method: 'POST', body })).text),
        );
        assert.deepEqual(answers, digits);
        assert.ok(performance.now() - started < 3000);
      },
    );
  });

  describe('that are scaled down', () => {
    behaviour('10.3', 'same', 'hand their waiting requests to the ones that stay', async () => {
      await suite.server.admin('/models/queue?min_worker=2&synchronous=true', 'PUT');
      const answers = Array.from({ length: 4 }, (_, index) => say('queue', `0.2:${index}`));
      await sleep(50);
      assert.equal((await suite.server.admin('/models/queue?min_worker=1&synchronous=true', 'PUT')).status, 200);
      assert.deepEqual(
        (await Promise.all(answers)).map(({ text: body }) => body),
        ['0', '1', '2', '3'],
      );
    });

    behaviour('10.3', 'same', 'leave numbers that are not given again: ids only count up', async () => {
      await suite.server.admin('/models?url=noop&initial_workers=1', 'POST');
      const first = Number((await suite.server.view('noop')).workers[0]!.id);
      await suite.server.admin('/models/noop?min_worker=0&synchronous=true', 'PUT');
      await suite.server.admin('/models/noop?min_worker=1&synchronous=true', 'PUT');
      assert.ok(Number((await suite.server.view('noop')).workers[0]!.id) > first);
    });
  });

  describe('beside the connection', () => {
    behaviour('2.3', 'stricter', 'requests that a client pipelines are answered in order, one at a time', async () => {
      const socket = connect(portOf(suite.server.inference), '127.0.0.1');
      await once(socket, 'connect');
      const head = 'host: 127.0.0.1\r\n';
      socket.write(
        `GET /ping HTTP/1.1\r\n${head}\r\nGET /predictions/noop HTTP/1.1\r\n${head}connection: close\r\n\r\n`,
      );
      assert.match(await text(socket), /^HTTP\/1\.1 200 [^]*Healthy[^]*HTTP\/1\.1 200 [^]*OK$/);
    });
  });
});
