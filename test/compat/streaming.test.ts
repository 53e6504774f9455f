// Answers in pieces (surface spec 2.7, 9.6) and continuous batching (10.7) over HTTP.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeWithServer } from '../support/compat-suite.ts';
import { exchange } from '../support/http-exchange.ts';
import type { TestStore } from '../support/model-store.ts';
import { portOf } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

/** Three times `hello`, then `hello world `, as the reference's own streaming model. */
const HELLO = `
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    for index in range(3):
        context.set_response_header(0, "x-piece", str(index))
        send_intermediate_predict_response(["hello"], context.request_ids, "Intermediate Prediction success", 200, context)
    return ["hello world "]
`;

/** The older import, a first piece with a status of its own, and a pause in between. */
const SLOW = `
import time
from ts.protocol.otf_message_handler import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    text = bytes(data[0]["body"]).decode()
    context.set_response_status(201, "Begun", 0)
    send_intermediate_predict_response(["first"], context.request_ids, "ok", 200, context)
    if text == "fail":
        raise ValueError("in the middle")
    time.sleep(0.6)
    context.set_response_status(500, "Late", 0)
    return ["last"]
`;

/** Counts each request of a running batch up to the number it asked for, one step per call. */
const COUNTER = `
import time

class Counter(object):
    def initialize(self, context):
        self.left = {}
        context.cache = {}
        self.empty = []

    def handle(self, data, context):
        time.sleep(0.02)
        answers = []
        for index, row in enumerate(data):
            request = context.get_request_id(index)
            if request not in context.cache:
                context.cache[request] = {"until": int(bytes(row["body"])), "at": 0}
            else:
                assert row == {} , row
                assert context.get_request_header(index, "X-Mine") == "kept"
            context.cache[request]["at"] += 1
            answers.append("%d/%d;" % (context.cache[request]["at"], len(data)))
        context.stopping_criteria = [
            (lambda answer, state=context.cache[context.get_request_id(i)]: state["at"] >= state["until"])
            for i in range(len(data))
        ]
        return answers
`;

/** A piece each 0.8 seconds, or at once for `quick`, four in all; says in the log when it has finished. */
const TRICKLE = `
import time
from ts.handler_utils.utils import send_intermediate_predict_response

def handle(data, context):
    if data is None:
        return None
    name = bytes(data[0]["body"]).decode()
    for index in range(3):
        send_intermediate_predict_response([str(index)], context.request_ids, "ok", 200, context)
        time.sleep(0 if name == "quick" else 0.8)
    print("trickle has finished", name, flush=True)
    return ["3"]
`;

const fill = (store: TestStore): void => {
  store.add('hello', HELLO);
  store.add('slow', SLOW);
  store.add('trickle', TRICKLE, { config: 'minWorkers: 1\nmaxWorkers: 1\nresponseTimeout: 2\n' });
  store.add('counter', COUNTER, {
    config: 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 4\nmaxBatchDelay: 100\ncontinuousBatching: true\n',
  });
};

describeWithServer(
  'streaming',
  fill,
  { models: ['hello', 'slow', 'trickle', 'counter'], config: ['metrics_mode=prometheus'] },
  (suite) => {
    describe('with send_intermediate_predict_response', () => {
      behaviour('13.4', 'same', 'a streamed answer is chunked and reads hellohellohellohello world', async () => {
        const answer = await suite.server.infer('/predictions/hello', { method: 'POST', body: 'x' });
        assert.deepEqual([answer.status, answer.headers['transfer-encoding']], [200, 'chunked']);
        assert.equal(answer.text, 'hellohellohellohello world ');
      });

      behaviour(
        '2.7',
        'same',
        'every piece is exactly one chunk, and the terminating chunk follows the last',
        async () => {
          const socket = connect(portOf(suite.server.inference), '127.0.0.1');
          await once(socket, 'connect');
          let seen = '';
          socket.setEncoding('utf8').on('data', (text: string) => (seen += text));
          socket.write('GET /predictions/hello HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
          while (!seen.endsWith('\r\n0\r\n\r\n')) await sleep(10);
          assert.equal(
            seen.slice(seen.indexOf('\r\n\r\n') + 4),
            '5\r\nhello\r\n5\r\nhello\r\n5\r\nhello\r\nc\r\nhello world \r\n0\r\n\r\n',
          );
          // The connection stays: the next request is answered on it.
          seen = '';
          socket.write('GET /ping HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n');
          await once(socket, 'end');
          assert.match(seen, /^HTTP\/1\.1 200 [^]*Healthy/);
        },
      );

      behaviour(
        '2.7',
        'same',
        'the head comes with the first piece: its headers, and ts_stream_next: true',
        async () => {
          const answer = await suite.server.infer('/predictions/hello');
          assert.equal(answer.headers['ts_stream_next'], 'true');
          assert.equal(answer.headers['x-piece'], '0');
          assert.equal(answer.headers['content-length'], undefined);
          assert.match(String(answer.headers['x-request-id']), /^[0-9a-f-]{36}$/);
        },
      );

      behaviour(
        '2.7',
        'same',
        'the first piece arrives before the last is made; status and headers of later ones are ignored',
        async () => {
          const response = await suite.server.predict('slow', Buffer.from('x'));
          assert.deepEqual([response.status, response.statusText], [201, 'Begun']);
          const reader = response.body!.getReader();
          const started = performance.now();
          assert.equal(Buffer.from((await reader.read()).value!).toString(), 'first');
          assert.ok(performance.now() - started < 500);
          assert.equal(Buffer.from((await reader.read()).value!).toString(), 'last');
          assert.ok((await reader.read()).done);
        },
      );

      behaviour('2.7', 'same', 'responseTimeout counts from piece to piece, not for the whole stream', async () => {
        const answer = await suite.server.infer('/predictions/trickle', { method: 'POST', body: 'long' });
        assert.deepEqual([answer.status, answer.text], [200, '0123']);
      });

      behaviour(
        '2.7',
        'same',
        'the worker belongs to one request until its last piece, and so does its latency',
        async () => {
          const latency = async (): Promise<number> => {
            const scraped = await exchange(`${suite.server.metrics}/metrics?name[]=ts_inference_latency_microseconds`);
            return Number(
              /^ts_inference_latency_microseconds\{[^}]*"trickle"[^}]*\} (\S+)$/m.exec(scraped.text)?.[1] ?? 0,
            );
          };
          const before = await latency();
          const ends: string[] = [];
          const first = await suite.server.predict('trickle', Buffer.from('first'));
          const second = suite.server.predict('trickle', Buffer.from('second')).then(async (answer) => {
            await answer.text();
            ends.push('second');
          });
          assert.equal(await latency(), before);
          assert.equal(await first.text(), '0123');
          ends.push('first');
          // The first has taken more than two seconds.
          assert.ok((await latency()) >= before + 2_000_000);
          await second;
          assert.deepEqual(ends, ['first', 'second']);
        },
      );

      behaviour('2.7', 'same', 'the handler of a client that went away runs to its end', async () => {
        const gone = new AbortController();
        const response = await fetch(`${suite.server.inference}/predictions/trickle`, {
          method: 'POST',
          body: Buffer.from('abandoned'),
          signal: gone.signal,
        });
        assert.equal(response.status, 200);
        gone.abort();
        await suite.server.until(/trickle has finished abandoned/);
        assert.equal(await (await suite.server.predict('trickle', Buffer.from('quick'))).text(), '0123');
      });

      behaviour('2.7', 'same', 'a stream keeps its connection for the next request', async () => {
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        try {
          assert.equal((await suite.server.infer('/predictions/hello', { agent })).headers['connection'], 'keep-alive');
          assert.equal((await suite.server.infer('/ping', { agent })).status, 200);
        } finally {
          agent.destroy();
        }
      });

      behaviour(
        '2.7',
        'stricter',
        'a stream that fails midway is cut, instead of an error document inside the body',
        async () => {
          await assert.rejects(suite.server.infer('/predictions/slow', { method: 'POST', body: 'fail' }), {
            code: 'ECONNRESET',
          });
          const next = await suite.server.predict('slow', Buffer.from('x'));
          assert.deepEqual([next.status, await next.text()], [201, 'firstlast']);
        },
      );
    });

    describe('with continuous batching', () => {
      const count = (until: number): Promise<string> =>
        suite.server
          .infer('/predictions/counter', { method: 'POST', headers: { 'X-Mine': 'kept' }, body: String(until) })
          .then(({ text }) => text);
      const steps = (text: string): string[] => text.replaceAll(/\/\d+/g, '').split(';').slice(0, -1);

      behaviour(
        '10.7',
        'same',
        'a request stays in the running batch until its stopping criterion says so',
        async () => {
          assert.deepEqual(steps(await count(4)), ['1', '2', '3', '4']);
        },
      );

      behaviour('9.6', 'same', 'requests that stay come again with their headers and an empty dict', async () => {
        // COUNTER asserts both; a failure would have cut the stream.
        assert.deepEqual(steps(await count(3)), ['1', '2', '3']);
      });

      behaviour(
        '10.7',
        'same',
        'waiting requests join the running batch, and each leaves when it is done',
        async () => {
          // Its head comes with the first piece: it runs.
          const long = await suite.server.predict('counter', Buffer.from('60'), { 'X-Mine': 'kept' });
          const [short, other, first] = await Promise.all([count(2), count(3), long.text()]);
          assert.deepEqual([steps(short).length, steps(other).length, steps(first).length], [2, 3, 60]);
          assert.match(first, /^1\/1;/);
          assert.match(first, /\/3;/);
          assert.match(first, /60\/1;$/);
        },
      );

      behaviour(
        '9.6',
        'same',
        'a request that is done at its first step is answered as a stream of one piece',
        async () => {
          const answer = await suite.server.infer('/predictions/counter', {
            method: 'POST',
            headers: { 'X-Mine': 'kept' },
            body: '1',
          });
          assert.deepEqual([answer.status, answer.text], [200, '1/1;']);
        },
      );

      behaviour(
        '10.7',
        'same',
        'the job of a client that went away is dropped at its next turn, and the log says so',
        async () => {
          const gone = new AbortController();
          const vanished = await fetch(`${suite.server.inference}/predictions/counter`, {
            method: 'POST',
            headers: { 'X-Mine': 'kept' },
            body: Buffer.from('500'),
            signal: gone.signal,
          });
          gone.abort();
          await assert.rejects(vanished.text());
          await suite.server.until(/Connection to client got closed; Removing job: [0-9a-f-]{36}/);
          assert.match(await count(2), /^1\/1;2\/1;$/);
        },
      );
    });
  },
);
