// Hostile bytes and hostile handlers with real workers behind the doors, over HTTP and gRPC.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { it } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { InferenceAPIsService, PredictionsRequestSchema } from '../../../src/grpc/gen/inference_pb.ts';
import { ManagementAPIsService, UnregisterModelRequestSchema } from '../../../src/grpc/gen/management_pb.ts';
import { GrpcClient } from '../../support/grpc-client.ts';
import { RawClient, exchangeRaw } from '../../support/http-doors.ts';
import { NOOP, SLOW_ECHO } from '../../support/model-store.ts';
import { OBEY } from '../../support/probe-handlers.ts';
import { portOf } from '../../support/real-server.ts';
import { describeSiege } from './siege.ts';

/** Answers what it was sent, now and then late, now and then not at all. */
const FICKLE = `
import time
def handle(data, context):
    if data is None:
        return None
    answers = []
    for index, row in enumerate(data):
        body = bytes(row["body"])
        if body.startswith(b"slow"):
            time.sleep(0.03)
        if body.startswith(b"bad"):
            raise ValueError("bad")
        answers.append(body + b"|" + context.get_request_id(index).encode())
    return answers
`;

describeSiege(
  'hostile bytes at the real server',
  (store) => {
    store.add('canary', NOOP);
    store.add('slow', SLOW_ECHO);
    store.add('obey', OBEY);
    const limits = 'minWorkers: 2\nmaxWorkers: 2\nmaxBatchDelay: 5\nresponseTimeout: 2\n';
    store.add('single', FICKLE, { config: `batchSize: 1\n${limits}` });
    store.add('batched', FICKLE, { config: `batchSize: 4\n${limits}` });
  },
  { models: ['canary', 'slow', 'obey', 'single', 'batched'], canary: 'canary' },
  (siege) => {
    const head = (path: string, more = '', method = 'POST'): string =>
      `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${siege.server.key('inference')}\r\n${more}`;
    const post = (path: string, body: string, more = ''): string =>
      `${head(path, more)}Content-Length: ${body.length}\r\n\r\n${body}`;
    const last = 'Connection: close\r\n';
    const statusOf = (answer: string): number => Number(answer.slice(9, 12));

    it('pipelined requests to slow and fast workers are answered in their order', async () => {
      using client = new RawClient(siege.inferencePort);
      client.write(
        post('/predictions/slow', '0.3:first') +
          post('/predictions/canary', 'x') +
          post('/predictions/slow', '0:third', last),
      );
      await client.closed;
      const bodies = client.text.split(/HTTP\/1\.1 200[^]*?\r\n\r\n/).slice(1);
      assert.deepEqual(bodies, ['first', 'OK', 'third']);
    });

    it('a smuggled request never runs', async () => {
      for (const framing of ['Content-Length: 4\r\nTransfer-Encoding: chunked', 'Transfer-Encoding: xchunked']) {
        const smuggled = post('/predictions/obey', "print('SMUGGLED')\nreturn ['SMUGGLED']");
        const answer = await exchangeRaw(
          siege.inferencePort,
          `${head('/predictions/canary', `${framing}\r\n`)}\r\n0\r\n\r\n${smuggled}`,
        );
        assert.equal(statusOf(answer), 400);
        assert.equal(answer.split('HTTP/1.1').length, 2);
      }
      assert.doesNotMatch(siege.server.output(), /SMUGGLED/);
    });

    it('a model name is one decoded segment and nothing more', async () => {
      const cases = {
        '/predictions/%63anary': 200,
        '/predictions/%2563anary': 404,
        '/predictions/%2e%2e': 404,
        '/predictions/..%2f..%2fcanary': 404,
        '/predictions/canary%00': 404,
        '/predictions/canary%2f1.0': 404,
        '/predictions/%c0%ae%c0%ae': 400,
        '/predictions/%ff': 400,
        '/predictions/__proto__': 404,
        '/predictions/canary/constructor': 404,
        '//predictions/canary': 404,
        '/../predictions/canary': 404,
        'http://evil/predictions/canary': 404,
        '*': 404,
      };
      for (const [path, status] of Object.entries(cases)) {
        const answer = await exchangeRaw(siege.inferencePort, post(path, 'x', last));
        assert.equal(statusOf(answer), status, path);
      }
    });

    it('a handler cannot split a response, lie about its length or take the connection out of step', async () => {
      const codes = [
        `context.set_response_header(0, 'X', 'a\\r\\nSet-Cookie: b')\nreturn ['x']`,
        `context.set_response_header(0, 'X\\r\\nSet-Cookie', 'b')\nreturn ['x']`,
        `context.set_response_content_type(0, 'text/html\\r\\nSet-Cookie: b')\nreturn ['x']`,
        `context.set_response_header(0, 'Content-Length', '9999')\nreturn ['x']`,
        `context.set_response_header(0, 'Transfer-Encoding', 'chunked')\nreturn ['x']`,
        `context.set_response_status(204, 'x\\r\\nSet-Cookie: b', 0)\nreturn ['HTTP/1.1 200 forged']`,
        `context.set_response_status(304, 'x', 0)\nreturn ['HTTP/1.1 200 forged']`,
        `for i in range(90):\n  context.set_response_header(0, 'X' + str(i), 'y' * 100)\nreturn ['x']`,
      ];
      for (const code of codes) {
        using client = new RawClient(siege.inferencePort);
        client.write(post('/predictions/obey', code) + post('/predictions/canary', 'x', last));
        await client.closed;
        assert.doesNotMatch(client.text, /Set-Cookie|9999|chunked|forged/i, code);
        assert.match(client.text, /HTTP\/1\.1 200 [^]*\r\n\r\nOK$/, code);
        assert.ok(client.text.length < 32 * 1024);
      }
      const [worker] = await siege.workersOf('obey');
      const many = `for i in range(300):\n  context.set_response_header(0, 'X' + str(i), 'y')\nreturn ['x']`;
      const refused = await exchangeRaw(siege.inferencePort, post('/predictions/obey', many, last));
      assert.equal(statusOf(refused), 503);
      assert.match(refused, /more than 256 response headers/);
      assert.equal((await siege.workersOf('obey'))[0]?.pid, worker?.pid);
      for (const status of [0, 100, 99_999, -200]) {
        const code = `context.set_response_status(${status}, 'x', 0)\nreturn ['x']`;
        const answer = await exchangeRaw(siege.inferencePort, post('/predictions/obey', code, last));
        assert.equal(statusOf(answer), 503, answer);
      }
    });

    it('an exception and a print of a handler reach neither the client nor the log as they are', async () => {
      const nasty = '/root/secret \\x1b[31m\\r\\n2026 [ERROR] forged \\u2028\\u0085 end';
      const raised = await siege.server.predict('obey', `raise Exception('${nasty}')`);
      assert.doesNotMatch(await raised.text(), /secret|forged|Exception: /);
      await siege.server.predict('obey', `print('[METRICS]${nasty}', flush=True)\nreturn ['x']`);
      await siege.server.until(/\[METRICS\][^]*forged/, 5000);
      // oxlint-disable-next-line no-control-regex -- these are what must not be there
      assert.doesNotMatch(siege.server.output(), /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028]|^2026 \[ERROR\]/m);
    });

    it('a header says nothing about the operation, for nobody in the batch', async () => {
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, at) =>
          siege.server.predict('batched', `good${at}`, {
            'content-type': 'application/octet-stream',
            ...(at % 2 ? { describe: 'True', explain: 'True' } : {}),
          }),
        ),
      );
      const texts = await Promise.all(answers.map((answer) => answer.text()));
      for (const [at, text] of texts.entries()) assert.match(text, new RegExp(`^good${at}\\|`));
    });

    it('over gRPC an empty name removes nothing, and a deadline that has passed is told', async () => {
      using management = new GrpcClient(portOf(siege.server.grpcManagement));
      const before = await siege.manage('GET', '/models');
      for (const modelName of ['', '..', '\u0000', 'a'.repeat(10_000)]) {
        const call = management.unary(
          ManagementAPIsService.method.unregisterModel,
          create(UnregisterModelRequestSchema, { modelName }),
          { key: siege.server.key('management') },
        );
        await assert.rejects(call, (error: { code?: number }) => error.code === 3 || error.code === 5);
      }
      assert.deepEqual(await siege.manage('GET', '/models'), before);
      using inference = new GrpcClient(portOf(siege.server.grpcInference));
      const late = inference.unary(InferenceAPIsService.method.predictions, messageOf('slow', '1:late'), {
        key: siege.server.key('inference'),
        options: { deadline: Date.now() + 50 },
      });
      await assert.rejects(late, { code: 4 });
    });

    it('under load, with clients that leave, bad neighbours and killed workers, an answer is the answer to its request', async () => {
      using grpc = new GrpcClient(portOf(siege.server.grpcInference));
      const end = performance.now() + 6000;
      const wrong: string[] = [];
      let right = 0;
      let count = 0;
      const judge = (sent: string, got: string): void => {
        if (got.slice(0, got.lastIndexOf('|')) === sent) right += 1;
        else wrong.push(`${sent.slice(0, 40)} became ${got.slice(0, 60)}`);
      };
      const bodyOf = (): string => {
        count += 1;
        const kind = count % 31 === 0 ? 'bad' : count % 17 === 0 ? 'slow' : 'good';
        return `${kind}${count}.${'x'.repeat(count % 11 === 0 ? 40_000 : count % 97)}`;
      };
      const overHttp = async (model: string): Promise<void> => {
        while (performance.now() < end) {
          const sent = bodyOf();
          const answer = await postOnce(model, sent, count % 5 === 0 ? count % 13 : undefined);
          if (answer?.status === 200) judge(sent, answer.text);
        }
      };
      const overGrpc = async (model: string): Promise<void> => {
        while (performance.now() < end) {
          const sent = bodyOf();
          const options = count % 5 === 0 ? { deadline: Date.now() + (count % 13) } : {};
          await grpc
            .unary(InferenceAPIsService.method.predictions, messageOf(model, sent), {
              key: siege.server.key('inference'),
              options,
            })
            .then(({ prediction }) => judge(sent, Buffer.from(prediction).toString()))
            .catch(() => undefined);
        }
      };
      const kill = async (): Promise<void> => {
        for (let at = 0; performance.now() < end; at += 1) {
          await new Promise((resolve) => setTimeout(resolve, 1200));
          const worker = (await siege.workersOf(at % 2 ? 'single' : 'batched')).find(({ pid }) => pid > 0);
          if (worker !== undefined) process.kill(worker.pid, 'SIGKILL');
        }
      };
      const clients = [0, 1, 2, 3, 4, 5, 6, 7].map((at) => overHttp(at % 2 ? 'single' : 'batched'));
      await Promise.all([...clients, overGrpc('single'), overGrpc('batched'), overGrpc('batched'), kill()]);
      assert.deepEqual(wrong, []);
      assert.ok(right > 500, `${right} answers`);
    });

    const messageOf = (modelName: string, body: string) =>
      create(PredictionsRequestSchema, { modelName, input: { body: Buffer.from(body) } });

    /** Undefined when the client left, after `leaveMs`, or was cut off. */
    function postOnce(
      model: string,
      body: string,
      leaveMs?: number,
    ): Promise<{ status: number; text: string } | undefined> {
      return new Promise((resolve) => {
        const headers = {
          authorization: `Bearer ${siege.server.key('inference')}`,
          'content-type': 'application/octet-stream',
        };
        const url = `${siege.server.inference}/predictions/${model}`;
        const client = request(url, { method: 'POST', headers }, (answer) => {
          let text = '';
          answer.setEncoding('latin1').on('data', (piece: string) => (text += piece));
          answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
          answer.on('error', () => resolve(undefined));
        });
        client.on('error', () => resolve(undefined));
        client.on('close', () => resolve(undefined));
        if (leaveMs !== undefined) setTimeout(() => client.destroy(), leaveMs);
        client.end(body);
      });
    }
  },
);
