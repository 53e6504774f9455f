// Time limits, batching modes and recovery of workers (surface spec 9.10, 10): what is not usual, and what goes wrong.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeWithServer } from '../support/compat-suite.ts';
import type { Exchanged } from '../support/http-exchange.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { OBEY } from '../support/probe-handlers.ts';
import { behaviour } from './behaviour.ts';

const SLOW_LOAD = `
import time

def handle(data, context):
    if data is None:
        time.sleep(1.5)
        return None
    return ["loaded"] * len(data)
`;
/** Pieces with as many seconds before each as the request lists. */
const PIECES = `
import time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    for seconds in bytes(data[0]["body"]).decode().split(","):
        time.sleep(float(seconds))
        send_intermediate_predict_response(["piece "], context.request_ids, "ok", 200, context)
    return ["end"]
`;
/** Tells how large its batch is, for predictions and for describe. */
const COUNTED = `
import time

def handle(data, context):
    if data is None:
        return None
    if context.get_request_header(0, "describe") == "True":
        return [{"batch": len(data)}] * len(data)
    time.sleep(float(context.get_request_header(0, "X-Sleep") or 0))
    return [str(len(data))] * len(data)
`;
const ASYNC = `
import asyncio
import os
from ts.handler_utils.utils import send_intermediate_predict_response

waiting = []

class Asynchronous:
    def initialize(self, context):
        pass

    async def handle(self, data, context):
        word = bytes(data[0]["body"]).decode()
        if word == "die":
            os._exit(1)
        if word == "how many":
            return [str(len(waiting))]
        if word == "wait":
            waiting.append(context.get_request_id(0))
        if word.startswith("stream"):
            for piece in range(3):
                send_intermediate_predict_response([word + " "], context.request_ids, "ok", 200, context)
                await asyncio.sleep(0.05)
        await asyncio.sleep({"wait": 60, "slow": 1.5}.get(word, 0))
        return [word]
`;
/** The sequences of each batch it saw. */
const SEQUENCES = `
import time

batches = []

class Sequences:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        ids = [context.get_sequence_id(index) for index in range(len(data))]
        batches.append(ids)
        time.sleep(0.1)
        answers = []
        for index, row in enumerate(data):
            context.set_response_header(index, context.header_key_sequence_id, ids[index])
            answers.append(repr(batches) if bytes(row["body"]) == b"batches" else "ok")
        return answers
`;
const one = (lines: string): { config: string } => ({ config: `minWorkers: 1\nmaxWorkers: 1\n${lines}` });
const STATEFUL = 'sequenceBatching: true\nmaxSequenceJobQueueSize: 10\n';

const fill = (store: TestStore): void => {
  store.add('obey', OBEY);
  store.add('loading', SLOW_LOAD);
  store.add('pieces', PIECES, one('responseTimeout: 2\n'));
  store.add('counted', COUNTED, one('batchSize: 4\nmaxBatchDelay: 200\n'));
  store.add('single', NOOP, one('batchSize: 1\nmaxBatchDelay: 60000\n'));
  store.add('concurrent', ASYNC, one('asyncCommunication: true\nresponseTimeout: 1\n'));
  store.add(
    'mixed',
    SEQUENCES,
    one(`${STATEFUL}batchSize: 4\nmaxBatchDelay: 100\nsequenceMaxIdleMSec: 60000\nmaxNumSequence: 4\n`),
  );
  store.add(
    'aging',
    SEQUENCES,
    one(`${STATEFUL}sequenceMaxIdleMSec: 60000\nsequenceTimeoutMSec: 2500\nmaxNumSequence: 1\n`),
  );
  store.add('failing', 'raise ValueError("never")\n', { config: 'maxRetryTimeoutInSec: 3\n' });
};
const models = ['obey', 'pieces', 'counted', 'single', 'concurrent', 'mixed', 'aging'];
const config = ['decode_input_request=false', 'ipex_enable=true'];

describeWithServer('limits of workers', fill, { models, config }, (suite) => {
  const post = (model: string, body: string, headers: Record<string, string> = {}): Promise<Exchanged> =>
    suite.server.infer(`/predictions/${model}`, { method: 'POST', headers, body });
  const turn = (model: string, id: string, body = 'x'): Promise<Exchanged> =>
    post(model, body, { ts_request_sequence_id: id });

  describe('that start', () => {
    behaviour(
      '10.1',
      'same',
      'find TS_DECODE_INPUT_REQUEST, TS_IPEX_ENABLE and TS_IPEX_GPU_ENABLE in their environment',
      async () => {
        const names = '["TS_DECODE_INPUT_REQUEST", "TS_IPEX_ENABLE", "TS_IPEX_GPU_ENABLE"]';
        const { text } = await post('obey', `import os\nreturn [",".join(os.environ[name] for name in ${names})]`);
        assert.equal(text, 'false,true,false');
      },
    );

    behaviour('10.6', 'same', 'let requests wait while their model is loading', async () => {
      const register = await suite.server.admin('/models?url=loading&initial_workers=1&synchronous=false', 'POST');
      assert.equal(register.status, 202);
      const answer = await post('loading', 'x');
      assert.deepEqual([answer.status, answer.text], [200, 'loaded']);
      await suite.server.admin('/models/loading', 'DELETE');
    });

    behaviour(
      '10.4',
      'same',
      'and fail again are logged, retried until maxRetryTimeoutInSec, and revived by scaling only',
      async () => {
        await suite.server.admin('/models?url=failing&initial_workers=0', 'POST');
        await suite.server.admin('/models/failing?min_worker=1', 'PUT');
        for (const words of [
          /W-\d+-failing_1\.0 .*Auto recovery start timestamp: \d{13}/,
          /W-(\d+)-failing_1\.0 .*Retry worker: \1 in 1 seconds\./,
          /W-\d+-failing_1\.0 .*Auto recovery failed again/,
          /W-\d+-failing_1\.0 was down for longer than maxRetryTimeoutInSec/,
        ]) {
          await suite.server.until(words);
        }
        const delays = suite.server.output().matchAll(/failing_1\.0 .*Retry worker: \d+ in (\d+) seconds\./g);
        // How many there are depends on how long a start takes.
        const seconds = [...delays].map(([, delay]) => delay).join();
        assert.ok('1,1,2,3'.startsWith(seconds), seconds);
        assert.equal((await suite.server.infer('/ping')).status, 500);
        const starts = (): number =>
          suite.server.output().match(/failing_1\.0 State change null -> WORKER_STARTED/g)!.length;
        const before = starts();
        await suite.server.admin('/models/failing?min_worker=1&synchronous=true', 'PUT');
        assert.equal(starts(), before + 1);
        await suite.server.admin('/models/failing', 'DELETE');
      },
    );
  });

  describe('that stream', () => {
    behaviour('10.5', 'same', 'have responseTimeout for each piece, not for all of them', async () => {
      await suite.server.ready('pieces');
      const answer = await post('pieces', '0.8,0.8,0.8');
      assert.equal(answer.text, 'piece piece piece end');
    });

    behaviour('10.5', 'same', 'and let a piece wait longer than that are restarted', async () => {
      const before = (await suite.server.ready('pieces')).workers[0]!.pid;
      await assert.rejects(post('pieces', '0,30'), { code: 'ECONNRESET' });
      await suite.server.until(/Number or consecutive unsuccessful inference 1/);
      assert.notEqual((await suite.server.ready('pieces')).workers[0]!.pid, before);
    });
  });

  describe('that batch', () => {
    behaviour('10.6', 'same', 'never put describe jobs together, nor with predictions', async () => {
      await suite.server.ready('counted');
      const busy = post('counted', 'x', { 'X-Sleep': '0.3' });
      await sleep(50);
      const describes = Array.from({ length: 3 }, () => suite.server.admin('/models/counted?customized=true'));
      const predictions = Array.from({ length: 2 }, () => post('counted', 'x'));
      for (const answer of await Promise.all(describes)) {
        assert.deepEqual(answer.json<Record<string, unknown>[]>()[0]!['customizedMetadata'], { batch: 1 });
      }
      for (const { status } of await Promise.all([busy, ...predictions])) assert.equal(status, 200);
    });

    behaviour('10.6', 'same', 'one by one never wait, whatever maxBatchDelay says', async () => {
      await suite.server.ready('single');
      const answers = await Promise.all(Array.from({ length: 4 }, () => post('single', 'x')));
      assert.deepEqual(
        answers.map(({ text }) => text),
        ['OK', 'OK', 'OK', 'OK'],
      );
    });
  });

  describe('that are asynchronous', () => {
    behaviour('10.6', 'same', 'may answer later than responseTimeout', async () => {
      await suite.server.ready('concurrent');
      assert.equal((await post('concurrent', 'slow')).text, 'slow');
    });

    behaviour('10.6', 'same', 'stream to each of several clients its own pieces', async () => {
      const words = ['stream1', 'stream2', 'stream3'];
      const answers = await Promise.all(words.map((word) => post('concurrent', word)));
      assert.deepEqual(
        answers.map(({ text }) => text),
        words.map((word) => `${word} ${word} ${word} ${word}`),
      );
    });

    behaviour(
      '10.6',
      'stricter',
      'answer 500 to what they had in hand when they die, where TorchServe leaves it without an answer',
      async () => {
        await suite.server.ready('concurrent');
        const waiting = post('concurrent', 'wait');
        let seen = '';
        for (let tries = 0; seen !== '1' && tries < 500; tries += 1) {
          await sleep(20);
          seen = (await post('concurrent', 'how many')).text;
        }
        assert.equal(seen, '1');
        const [inHand, killer] = await Promise.all([waiting, post('concurrent', 'die')]);
        assert.deepEqual([inHand.status, killer.status], [500, 500]);
        await suite.server.ready('concurrent');
        assert.equal((await post('concurrent', 'again')).text, 'again');
      },
    );
  });

  describe('that keep state', () => {
    behaviour('9.10', 'same', 'see several sequences in a batch, and of each sequence one request', async () => {
      await suite.server.ready('mixed');
      const turns = ['a', 'b', 'a', 'b', 'a', 'c'].map((id) => turn('mixed', id));
      for (const { status } of await Promise.all(turns)) assert.equal(status, 200);
      const { text } = await turn('mixed', 'a', 'batches');
      const batches = JSON.parse(text.replaceAll("'", '"')) as string[][];
      assert.ok(
        batches.some((batch) => batch.length > 1),
        text,
      );
      for (const batch of batches) assert.equal(new Set(batch).size, batch.length, text);
    });

    behaviour('10.8', 'same', 'end a sequence sequenceTimeoutMSec after it began, however busy it is', async () => {
      await suite.server.ready('aging');
      assert.equal((await turn('aging', 'old')).status, 200);
      assert.equal((await turn('aging', 'new')).status, 503);
      const begun = performance.now();
      while (performance.now() - begun < 800) await turn('aging', 'old');
      let status = 503;
      while (status === 503 && performance.now() - begun < 10_000) {
        await sleep(50);
        ({ status } = await turn('aging', 'new'));
      }
      assert.equal(status, 200);
    });
  });
});
