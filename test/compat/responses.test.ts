// What a client gets back (surface spec 2.2, 2.3, 2.6, 2.10, 9.7), from a handler that does what the request says.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorBody } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import type { Exchanged } from '../support/http-exchange.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { OBEY } from '../support/probe-handlers.ts';
import { portOf } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const MAX_BYTES = 100_000;
const NO_WORKER = (start: string): string =>
  `${start} has no worker to serve inference request. Please use scale workers API to add workers. If this is a sequence inference, please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize`;

/** Fails for the whole batch when one of it is bad. */
const STRICT = `
import time

batches = []

def handle(data, context):
    if data is None:
        return None
    words = [bytes(row["body"]).decode() for row in data]
    batches.append(words)
    time.sleep(0.1 if "busy" in words else 0)
    if "bad" in words:
        raise ValueError("a bad one among", words)
    return [repr(batches) if word == "batches" else word for word in words]
`;

const fill = (store: TestStore): void => {
  store.add('obey', OBEY);
  store.add('pair', OBEY, { config: 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 2\nmaxBatchDelay: 400\n' });
  store.add('idle', NOOP);
  store.add('strict', STRICT, { config: 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 2\nmaxBatchDelay: 400\n' });
};
const options = {
  models: ['obey', 'pair', 'strict'],
  config: [
    `max_request_size=${MAX_BYTES}`,
    `max_response_size=${MAX_BYTES}`,
    'cors_allowed_origin=https://example.org',
    'cors_allowed_methods=GET, POST',
    'cors_allowed_headers=X-Custom',
  ],
};

describeWithServer('what a client gets back', fill, options, (suite) => {
  const run = (code: string, model = 'obey'): Promise<Exchanged> =>
    suite.server.infer(`/predictions/${model}`, { method: 'POST', body: code });
  const refused = (answer: Exchanged, status: number, type: string, message: string): void => {
    assert.deepEqual([answer.status, answer.text], [status, errorBody(status, type, message)]);
    assert.equal(answer.headers['content-type'], 'application/json');
  };

  describe('of every exchange', () => {
    behaviour('2.3', 'same', 'every answer carries the caching headers of TorchServe and its own length', async () => {
      const { headers } = await run('return ["12345"]');
      assert.equal(headers['pragma'], 'no-cache');
      assert.equal(headers['cache-control'], 'no-cache; no-store, must-revalidate, private');
      assert.equal(headers['expires'], 'Thu, 01 Jan 1970 00:00:00 UTC');
      assert.equal(headers['content-length'], '5');
    });

    behaviour('2.3', 'same', 'the connection stays open below status 400 and closes from 400 on', async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      try {
        const at = (path: string): Promise<Exchanged> => suite.server.infer(path, { agent });
        assert.equal((await at('/ping')).headers['connection'], 'keep-alive');
        assert.equal((await at('/nothing')).headers['connection'], 'close');
        const chosen = 'context.set_response_status(404, "", 0)\nreturn ["own"]';
        const answer = await suite.server.infer('/predictions/obey', { method: 'POST', body: chosen, agent });
        assert.deepEqual([answer.status, answer.text, answer.headers['connection']], [404, 'own', 'close']);
      } finally {
        agent.destroy();
      }
    });

    behaviour(
      '2.3',
      'same',
      'JSON made by the server is indented by two spaces and ends with one newline',
      async () => {
        const answer = await suite.server.infer('/ping');
        assert.equal(answer.text, '{\n  "status": "Healthy"\n}\n');
        assert.equal(answer.headers['content-type'], 'application/json');
      },
    );

    behaviour('6.8', 'same', 'the configured CORS headers are on every answer of every listener', async () => {
      const answers = await Promise.all([
        suite.server.infer('/ping'),
        suite.server.infer('/predictions/none'),
        run('return ["x"]'),
        suite.server.admin('/models'),
        suite.server.infer('/predictions/obey', { method: 'OPTIONS' }),
      ]);
      for (const { headers } of answers) {
        assert.equal(headers['access-control-allow-origin'], 'https://example.org');
        assert.equal(headers['access-control-allow-methods'], 'GET, POST');
        assert.equal(headers['access-control-allow-headers'], 'X-Custom');
      }
    });

    behaviour('6.8', 'same', 'a handler’s own CORS header wins over the configured one', async () => {
      const answer = await run('context.set_response_header(0, "access-control-allow-origin", "*")\nreturn ["x"]');
      assert.equal(answer.headers['access-control-allow-origin'], '*');
    });
  });

  describe('of a prediction', () => {
    behaviour('2.6', 'same', 'bytes, bytearray and str are sent as they are, str as UTF-8', async () => {
      assert.deepEqual(
        (await run('return [bytes(range(256))]')).bytes,
        Buffer.from(Uint8Array.from({ length: 256 }, (_, i) => i)),
      );
      assert.equal((await run('return [bytearray(b"ab")]')).text, 'ab');
      assert.equal((await run('return ["grüße"]')).text, 'grüße');
    });

    behaviour('2.6', 'same', 'any other value is JSON, indented by two, without a newline at the end', async () => {
      assert.equal(
        (await run('return [{"a": [1, 2.5], "b": None}]')).text,
        '{\n  "a": [\n    1,\n    2.5\n  ],\n  "b": null\n}',
      );
      assert.equal((await run('return [7]')).text, '7');
      assert.equal((await run('return [True]')).text, 'true');
      assert.equal((await run('return [None]')).text, 'null');
    });

    behaviour('2.6', 'same', 'letters beyond ASCII are escaped in JSON of a handler, and not in its text', async () => {
      assert.equal((await run('return [{"a": "ü"}]')).text, '{\n  "a": "\\u00fc"\n}');
      assert.equal((await run('return [float("nan")]')).text, 'NaN');
    });

    behaviour('2.6', 'same', 'a value that is not serialisable fails the batch', async () => {
      refused(await run('return [object()]'), 503, 'InternalServerException', 'Unsupported model output data type.');
    });

    behaviour('2.6', 'same', 'there is no content type unless the handler set one', async () => {
      assert.equal((await run('return [{"a": 1}]')).headers['content-type'], undefined);
      const chosen = await run('context.set_response_content_type(0, "text/csv")\nreturn ["a"]');
      assert.equal(chosen.headers['content-type'], 'text/csv');
      const header = await run('context.set_response_header(0, "content-type", "text/html")\nreturn ["a"]');
      assert.equal(header.headers['content-type'], 'text/html');
    });

    behaviour('2.6', 'same', 'the reason phrase is empty unless the handler gave one', async () => {
      const socket = connect(portOf(suite.server.inference), '127.0.0.1');
      await once(socket, 'connect');
      socket.write(
        'POST /predictions/obey HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 12\r\nconnection: close\r\n\r\nreturn ["x"]',
      );
      assert.match(await text(socket), /^HTTP\/1\.1 200 \r\n/);
      const phrased = await run('context.set_response_status(202, "Taken", 0)\nreturn ["x"]');
      assert.deepEqual([phrased.status, phrased.reason], [202, 'Taken']);
    });

    behaviour('2.6', 'same', 'a status that the handler set keeps the handler’s own body', async () => {
      const answer = await run('context.set_response_status(404, "Not here", 0)\nreturn ["my words"]');
      assert.deepEqual([answer.status, answer.reason, answer.text], [404, 'Not here', 'my words']);
    });

    behaviour('2.6', 'same', 'each request of a batch can have its own status', async () => {
      const code = 'context.set_response_status(507, "", 0)\nreturn ["Invalid response"] + ["fine"] * (len(data) - 1)';
      let answers: readonly Exchanged[] = [];
      // The two may arrive apart; then they do not share a batch.
      for (let tries = 0; tries < 10 && !answers.some(({ text: body }) => body === 'fine'); tries += 1) {
        const busy = run('import time\ntime.sleep(0.1)\nreturn ["busy"] * len(data)', 'pair');
        await sleep(40);
        answers = await Promise.all([run(code, 'pair'), run(code, 'pair')]);
        await busy;
      }
      const byStatus = answers.map(({ status, text: body }) => `${status} ${body}`).toSorted();
      assert.deepEqual(byStatus, ['200 fine', '507 Invalid response']);
    });

    behaviour('13.4', 'same', 'a handler’s header and content type arrive: dummy: 1, text/plain', async () => {
      const answer = await run(
        'context.set_response_content_type(0, "text/plain")\ncontext.set_response_header(0, "dummy", "1")\nreturn ["x"]',
      );
      assert.deepEqual([answer.headers['dummy'], answer.headers['content-type']], ['1', 'text/plain']);
    });

    behaviour('2.6', 'same', 'the fixed headers win over the handler’s', async () => {
      const answer = await run('context.set_response_header(0, "pragma", "cache-me")\nreturn ["x"]');
      assert.equal(answer.headers['pragma'], 'no-cache');
    });

    behaviour(
      '2.6',
      'stricter',
      'a handler cannot frame the answer or split it: such headers are dropped',
      async () => {
        const answer = await run(
          'context.set_response_header(0, "content-length", "1")\ncontext.set_response_header(0, "x-a", "1\\r\\nx-b: 2")\nreturn ["whole"]',
        );
        assert.equal(answer.headers['x-b'], undefined);
        assert.deepEqual([answer.status, answer.text], [200, 'whole']);
      },
    );

    behaviour('13.4', 'same', 'status 507 with the body Invalid response, set by the handler', async () => {
      const answer = await run('context.set_response_status(507, "", 0)\nreturn ["Invalid response"]');
      assert.deepEqual([answer.status, answer.text], [507, 'Invalid response']);
    });

    behaviour('2.6', 'same', 'a response over max_response_size is 500 Worker died. and a new worker', async () => {
      const { workers } = await suite.server.ready('obey');
      refused(await run(`return ["x" * ${MAX_BYTES + 1}]`), 500, 'InternalServerException', 'Worker died.');
      await suite.server.until(/Message size exceed limit: \d+/);
      await suite.server.until(/Consider increasing the 'max_response_size' in 'config\.properties' to fix\./);
      const again = await suite.server.ready('obey');
      assert.notEqual(again.workers[0]!.pid, workers[0]!.pid);
      assert.equal((await run(`return ["x" * 90000]`)).bytes.length, 90_000);
    });
  });

  describe('of a request that cannot be served', () => {
    const NOT_FOUND = 'Requested resource is not found, please refer to API document.';
    const NOT_ALLOWED = 'Requested method is not allowed, please refer to API document.';

    behaviour('2.10', 'same', 'an unknown path is 404 ResourceNotFoundException on every listener', async () => {
      for (const path of ['/nothing', '/predictions', '/explanations', '/models/obey/other', '/metrics']) {
        refused(await suite.server.infer(path), 404, 'ResourceNotFoundException', NOT_FOUND);
      }
      refused(await suite.server.admin('/nothing'), 404, 'ResourceNotFoundException', NOT_FOUND);
    });

    behaviour('2.10', 'same', 'a method other than OPTIONS on / is 405', async () => {
      refused(await suite.server.infer('/'), 405, 'MethodNotAllowedException', NOT_ALLOWED);
      refused(await suite.server.admin('/', 'POST'), 405, 'MethodNotAllowedException', NOT_ALLOWED);
    });

    behaviour('2.10', 'same', 'bytes that are not HTTP are 400', async () => {
      const socket = connect(portOf(suite.server.inference), '127.0.0.1');
      await once(socket, 'connect');
      socket.write('nonsense\r\n\r\n');
      assert.match(await text(socket), /^HTTP\/1\.1 400 [^]*"message": "Invalid HTTP message\."/);
    });

    behaviour('2.10', 'same', 'an unknown model and an unknown version are 404 with their names', async () => {
      refused(await suite.server.infer('/predictions/none'), 404, 'ModelNotFoundException', 'Model not found: none');
      refused(
        await suite.server.infer('/predictions/obey/9.9'),
        404,
        'ModelVersionNotFoundException',
        'Model version: 9.9 does not exist for model: obey',
      );
    });

    behaviour(
      '2.10',
      'same',
      'a model without a worker is 503 in the reference’s words, stray quote included',
      async () => {
        await suite.server.admin('/models?url=idle&initial_workers=0', 'POST');
        refused(
          await suite.server.infer('/predictions/idle'),
          503,
          'ServiceUnavailableException',
          NO_WORKER('Model "idle"'),
        );
        refused(
          await suite.server.infer('/predictions/idle/1.0'),
          503,
          'ServiceUnavailableException',
          NO_WORKER('Model "idle" Version 1.0"'),
        );
        await suite.server.admin('/models/idle', 'DELETE');
      },
    );

    behaviour('2.10', 'same', 'an invocation without a resolvable model is 400', async () => {
      refused(
        await suite.server.infer('/invocations'),
        400,
        'BadRequestException',
        'Parameter model_name is required.',
      );
    });

    behaviour(
      '9.7',
      'same',
      'an exception in the handler is 503 Prediction failed, and the worker survives it',
      async () => {
        const before = await suite.server.ready('obey');
        refused(await run('raise ValueError("boom")'), 503, 'InternalServerException', 'Prediction failed');
        assert.equal((await suite.server.view('obey')).workers[0]!.pid, before.workers[0]!.pid);
      },
    );

    behaviour('9.7', 'same', 'a handler that returns no list is 503', async () => {
      refused(await run('return {"a": 1}'), 503, 'InternalServerException', 'Invalid model predict output');
    });

    behaviour('9.7', 'same', 'a handler that returns the wrong count is 503', async () => {
      refused(await run('return ["a", "b"]'), 503, 'InternalServerException', 'number of batch response mismatched');
    });

    behaviour('9.7', 'same', 'PredictionException chooses message and status, 500 without one', async () => {
      const raise = (args: string): string =>
        `from ts.utils.util import PredictionException\nraise PredictionException(${args})`;
      refused(
        await run(raise('"Some Prediction Error", 599')),
        599,
        'InternalServerException',
        'Some Prediction Error',
      );
      refused(await run(raise('"odd", 513')), 513, 'InternalServerException', 'odd');
      refused(await run(raise('"plain"')), 500, 'InternalServerException', 'plain');
    });

    behaviour('2.10', 'same', 'a 413 that a handler raises is 507: the request’s own size was fine', async () => {
      const raised = 'from ts.utils.util import PredictionException\nraise PredictionException("too much", 413)';
      refused(await run(raised), 507, 'InternalServerException', 'too much');
    });

    behaviour('9.7', 'same', 'MemoryError and any error that speaks of CUDA are 507 Out of resources', async () => {
      refused(await run('raise MemoryError()'), 507, 'InternalServerException', 'Out of resources');
      refused(
        await run('raise RuntimeError("CUDA error: out of memory")'),
        507,
        'InternalServerException',
        'Out of resources',
      );
    });

    behaviour('2.10', 'same', 'a worker that crashes is 500 Worker died.', async () => {
      refused(await run('import os\nos._exit(3)'), 500, 'InternalServerException', 'Worker died.');
      await suite.server.ready('obey');
    });

    behaviour('2.10', 'same', 'a worker that exits with status 137 is 507 Worker died.', async () => {
      refused(await run('import os\nos._exit(137)'), 507, 'InternalServerException', 'Worker died.');
      await suite.server.ready('obey');
    });

    behaviour(
      '2.10',
      'same',
      'a body over max_request_size is 413 with nothing in it, and the connection closes',
      async () => {
        for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
          const answer = await suite.server.infer('/predictions/obey', {
            method: 'POST',
            headers,
            body: Buffer.alloc(MAX_BYTES + 1),
          });
          assert.deepEqual([answer.status, answer.text], [413, '']);
          assert.equal(answer.headers['content-length'], '0');
          assert.equal(answer.headers['connection'], 'close');
          assert.equal(answer.headers['x-request-id'], undefined);
        }
      },
    );

    behaviour('2.10', 'stricter', 'a 413 is in the access log, where TorchServe leaves no trace of it', async () => {
      const path = '/predictions/obey?too=large';
      await suite.server.infer(path, { method: 'POST', body: Buffer.alloc(MAX_BYTES + 1) });
      await suite.server.until(/"POST \/predictions\/obey\?too=large HTTP\/1\.1" 413 \d+/);
    });

    behaviour('2.10', 'same', 'with Expect: 100-continue the 413 comes instead of 100', async () => {
      const socket = connect(portOf(suite.server.inference), '127.0.0.1');
      await once(socket, 'connect');
      socket.write(
        `POST /predictions/obey HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ${MAX_BYTES + 1}\r\nexpect: 100-continue\r\n\r\n`,
      );
      assert.match(await text(socket), /^HTTP\/1\.1 413 /);
    });

    behaviour('13.4', 'same', 'a body within the limit is served', async () => {
      const body = `return [str(len("${'x'.repeat(MAX_BYTES - 25)}"))]`;
      assert.equal((await run(body)).text, String(MAX_BYTES - 25));
    });

    behaviour(
      '2.10',
      'stricter',
      'one bad request of a batch fails alone: the batch is run again item by item',
      async () => {
        const strict = (body: string): Promise<Exchanged> =>
          suite.server.infer('/predictions/strict', { method: 'POST', body });
        const SHARED = /\['good', 'bad'\], \['good'\], \['bad'\]|\['bad', 'good'\], \['bad'\], \['good'\]/;
        let batches = '';
        for (let tries = 0; tries < 10 && !SHARED.test(batches); tries += 1) {
          const busy = strict('busy');
          await sleep(40);
          const [good, bad] = await Promise.all([strict('good'), strict('bad')]);
          await busy;
          assert.deepEqual([good.status, good.text], [200, 'good']);
          refused(bad, 503, 'InternalServerException', 'Prediction failed');
          batches = (await strict('batches')).text;
        }
        assert.match(batches, SHARED);
      },
    );
  });

  describe('about its health', () => {
    behaviour(
      '2.2',
      'same',
      '/ping is Healthy while a worker has been down for less than maxRetryTimeoutInSec',
      async () => {
        await run('import os\nos._exit(1)');
        const answer = await suite.server.infer('/ping');
        assert.deepEqual([answer.status, answer.text], [200, '{\n  "status": "Healthy"\n}\n']);
        await suite.server.ready('obey');
      },
    );

    behaviour('2.2', 'same', '/ping is 500 Unhealthy once a worker was given up', async () => {
      suite.store.add('hopeless', 'raise ImportError("never")', { config: 'maxRetryTimeoutInSec: 0\n' });
      await suite.server.admin('/models?url=hopeless&initial_workers=0', 'POST');
      await suite.server.admin('/models/hopeless?min_worker=1&synchronous=true', 'PUT');
      const answer = await suite.server.infer('/ping');
      assert.deepEqual([answer.status, answer.text], [500, '{\n  "status": "Unhealthy"\n}\n']);
      await suite.server.admin('/models/hopeless', 'DELETE');
      assert.equal((await suite.server.infer('/ping')).status, 200);
    });

    behaviour('2.2', 'same', 'only default versions count: another one that was given up does not', async () => {
      const config = 'maxRetryTimeoutInSec: 0\n';
      suite.store.addArchive('other.mar', 'strict', 'raise ImportError("never")', {
        config,
        model: { modelVersion: '2.0' },
      });
      await suite.server.admin('/models?url=other.mar&initial_workers=0', 'POST');
      await suite.server.admin('/models/strict/2.0?min_worker=1&synchronous=true', 'PUT');
      assert.equal((await suite.server.infer('/ping')).status, 200);
      await suite.server.admin('/models/strict/2.0/set-default', 'PUT');
      assert.equal((await suite.server.infer('/ping')).status, 500);
      await suite.server.admin('/models/strict/1.0/set-default', 'PUT');
      assert.equal((await suite.server.infer('/ping')).status, 200);
      await suite.server.admin('/models/strict/2.0', 'DELETE');
    });
  });
});
