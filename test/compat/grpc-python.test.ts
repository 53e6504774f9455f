// TorchServe's gRPC services (surface spec 5) on the real server with real workers, called by Python's grpcio with messages
// of its own making.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { describeWithServer } from '../support/compat-suite.ts';
import { KEY_REFUSED_TEXT } from '../support/key-file.ts';
import { untilInFile } from '../support/log-file.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { OBEY, PROBE, type Probed } from '../support/probe-handlers.ts';
import { base64, PythonRpc, type RpcAnswer, type RpcMessage, type RpcSettings } from '../support/python-rpc.ts';
import { ADDER, STREAMED_ADDER } from '../support/sequence-handlers.ts';
import { PIECES } from '../support/streaming-handlers.ts';
import { behaviour } from './behaviour.ts';

const MAX_BYTES = 100_000;
const INTERNAL_SERVER = 'org.pytorch.serve.http.InternalServerException';
const MODEL_NOT_FOUND = 'org.pytorch.serve.archive.model.ModelNotFoundException';
const VERSION_NOT_FOUND = 'org.pytorch.serve.archive.model.ModelVersionNotFoundException';
const BAD_REQUEST = 'org.pytorch.serve.http.BadRequestException';
const NO_WORKER = (start: string): string =>
  `${start} has no worker to serve inference request. Please use scale workers API to add workers. If this is a sequence inference, please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize`;

/** Continuous batching: counts up to the number of the request, a piece for each step. */
const COUNTER = `
class Counter(object):
    def initialize(self, context):
        context.cache = {}

    def handle(self, data, context):
        answers = []
        for index, row in enumerate(data):
            request = context.get_request_id(index)
            if request not in context.cache:
                context.cache[request] = {"until": int(bytes(row["data"])), "at": 0}
            context.cache[request]["at"] += 1
            answers.append("%d " % context.cache[request]["at"])
        context.stopping_criteria = [
            (lambda answer, state=context.cache[context.get_request_id(i)]: state["at"] >= state["until"])
            for i in range(len(data))
        ]
        return answers
`;

const SEQUENCES = 'sequenceBatching: true\nsequenceMaxIdleMSec: 30000\nmaxNumSequence: 4\nmaxSequenceJobQueueSize: 8\n';
const BATCHES = 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 4\nmaxBatchDelay: 20\n';

const fill = (store: TestStore): void => {
  store.add('obey', OBEY);
  store.add('probe', PROBE);
  store.add('pieces', PIECES);
  store.add('idle', NOOP);
  store.add('broken', 'raise ImportError("never")');
  store.add('counter', COUNTER, { config: `${BATCHES}continuousBatching: true\n` });
  store.add('streamed-adder', '', {
    config: `${BATCHES}continuousBatching: true\n${SEQUENCES}`,
    model: { handler: 'adder.py' },
    files: { 'adder.py': STREAMED_ADDER },
  });
  store.add('adder', ADDER, { config: `${BATCHES}${SEQUENCES}` });
};
const options = {
  models: ['obey', 'probe', 'pieces', 'adder', 'counter', 'streamed-adder'],
  config: [
    'disable_token_authorization=false',
    `max_request_size=${MAX_BYTES}`,
    'grpc_management_max_connection_age_ms=500',
    'grpc_management_max_connection_age_grace_ms=60000',
  ],
};

describeWithServer('gRPC by Python', fill, options, (suite) => {
  let rpc: PythonRpc;
  before(() => {
    rpc = new PythonRpc();
  });
  after(() => rpc?.[Symbol.asyncDispose]());

  const infer = (method: string, requests: RpcMessage | readonly RpcMessage[] = {}, settings: RpcSettings = {}) =>
    rpc.call(suite.server.grpcInference, `InferenceAPIsService/${method}`, requests, {
      key: suite.server.key('inference'),
      ...settings,
    });
  const manage = (method: string, request: RpcMessage = {}, settings: RpcSettings = {}) =>
    rpc.call(suite.server.grpcManagement, `ManagementAPIsService/${method}`, request, {
      key: suite.server.key('management'),
      ...settings,
    });
  const input = (fields: Readonly<Record<string, string>>): RpcMessage =>
    Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, base64(value)]));
  const run = (code: string): Promise<RpcAnswer> =>
    infer('Predictions', { model_name: 'obey', input: input({ body: code }) });
  const predictions = ({ messages }: RpcAnswer): string[] =>
    messages.map(({ prediction = '' }) => Buffer.from(String(prediction), 'base64').toString());
  const failed = ({ messages, code, details }: RpcAnswer, expected: number, ...lines: readonly string[]): void =>
    assert.deepEqual([messages, code, details], [[], expected, lines.join('\n')]);
  const said = ({ messages, code, details }: RpcAnswer): string => {
    assert.equal(code, 0, details);
    return String(messages[0]?.['msg']);
  };

  describe('inference', () => {
    behaviour('5.1', 'same', 'both servers are there without being asked for, each with its own service', async () => {
      assert.equal((await infer('Ping')).code, 0);
      assert.equal((await manage('ListModels')).code, 0);
      const { grpcInference, grpcManagement } = suite.server;
      assert.equal((await rpc.call(grpcManagement, 'InferenceAPIsService/Ping')).code, 12);
      assert.equal((await rpc.call(grpcInference, 'ManagementAPIsService/ListModels')).code, 12);
    });

    behaviour('5.2', 'same', 'Ping is OK and tells the health as pretty JSON without a newline', async () => {
      assert.deepEqual((await infer('Ping')).messages, [{ health: '{\n  "status": "Healthy"\n}' }]);
    });

    behaviour('5.2', 'same', 'every entry of input is a bytearray without a type, and no header is added', async () => {
      const request = { model_name: 'probe', model_version: '1.0', input: input({ data: '{"a": 1}', body: 'text' }) };
      // Metadata beside the key, as TorchServe's own client sends it, is nothing to the handler.
      const metadata = [
        ['protocol', 'gRPC'],
        ['session_id', '12345'],
      ] as const;
      const [text = ''] = predictions(await infer('Predictions', request, { metadata }));
      const { data, headers } = JSON.parse(text) as Probed;
      assert.deepEqual(data, {
        data: { type: 'bytearray', hex: Buffer.from('{"a": 1}').toString('hex') },
        body: { type: 'bytearray', hex: Buffer.from('text').toString('hex') },
      });
      assert.deepEqual(headers, { data: { 'content-type': '' }, body: { 'content-type': '' } });
    });

    behaviour('5.4', 'same', 'what a handler says of status, headers and type is left out of the answer', async () => {
      const answer = await run(
        'context.set_response_status(404, "Not here", 0)\ncontext.set_response_header(0, "a", "b")\ncontext.set_response_content_type(0, "text/plain")\nreturn ["fine"]',
      );
      assert.deepEqual([answer.code, answer.messages], [0, [{ prediction: base64('fine') }]]);
    });

    behaviour('5.4', 'same', 'errors before a worker are INTERNAL with the message and a second line', async () => {
      failed(await infer('Predictions'), 13, 'Parameter model_name is required.', 'BadRequestException.()');
      const none = { model_name: 'none' };
      failed(await infer('Predictions', none), 13, 'Model not found: none', MODEL_NOT_FOUND);
      failed(
        await infer('Predictions', { model_name: 'obey', model_version: '9' }),
        13,
        'Model version: 9 does not exist for model: obey',
        VERSION_NOT_FOUND,
      );
      failed(await infer('StreamPredictions', none), 13, 'Model not found: none', MODEL_NOT_FOUND);
      assert.equal((await manage('RegisterModel', { url: 'idle', model_name: 'empty' })).code, 0);
      await suite.server.manage('PUT', '/models/empty?min_worker=0&synchronous=true');
      const empty = { model_name: 'empty' };
      failed(await infer('Predictions', empty), 13, NO_WORKER('Model "empty"'), 'InternalServerException.()');
      failed(
        await infer('Predictions', { ...empty, model_version: '1.0' }),
        13,
        NO_WORKER('Model "empty" Version 1.0"'),
        'InternalServerException.()',
      );
      assert.equal((await manage('UnregisterModel', empty)).code, 0);
    });

    behaviour('5.4', 'same', 'a worker’s status becomes a code by TorchServe’s table, 400 to 599', async () => {
      const table: Readonly<Record<number, number>> = {
        400: 3,
        401: 16,
        403: 7,
        404: 5,
        408: 9,
        409: 10,
        413: 8,
        416: 11,
        418: 9,
        422: 9,
        429: 8,
        499: 1,
        500: 13,
        501: 12,
        502: 13,
        503: 14,
        504: 4,
        507: 13,
        599: 13,
      };
      for (const [status, code] of Object.entries(table)) {
        const raised = `from ts.utils.util import PredictionException\nraise PredictionException("told ${status}", ${status})`;
        failed(await run(raised), code, `told ${status}`, INTERNAL_SERVER);
      }
    });

    behaviour('5.4', 'same', 'failures of a handler and of its worker have the messages of REST', async () => {
      failed(await run('raise ValueError("x")'), 14, 'Prediction failed', INTERNAL_SERVER);
      failed(await run('return 3'), 14, 'Invalid model predict output', INTERNAL_SERVER);
      failed(await run('return ["a", "b"]'), 14, 'number of batch response mismatched', INTERNAL_SERVER);
      failed(await run('return [object()]'), 14, 'Unsupported model output data type.', INTERNAL_SERVER);
      failed(await run('raise MemoryError()'), 13, 'Out of resources', INTERNAL_SERVER);
      failed(await run('import os\nos._exit(3)'), 13, 'Worker died.', INTERNAL_SERVER);
      assert.deepEqual(predictions(await run('return ["again"]')), ['again']);
    });

    behaviour('5.1', 'same', 'max_request_size bounds the messages of both servers', async () => {
      const large = 'x'.repeat(MAX_BYTES);
      const refused = await infer('Predictions', { model_name: 'obey', input: input({ body: large }) });
      assert.deepEqual([refused.code, /exceeds maximum size 100000: 1000\d\d/.test(refused.details)], [8, true]);
      assert.equal((await manage('RegisterModel', { url: large })).code, 8);
      const fits = 'x'.repeat(MAX_BYTES - 100);
      assert.deepEqual(predictions(await run(`return [str(len("${fits}"))]`)), [String(fits.length)]);
    });

    behaviour(
      '5.1',
      'stricter',
      'compressed messages are UNIMPLEMENTED: the server unpacks nothing from strangers',
      async () => {
        const request = { model_name: 'obey', input: input({ body: 'return ["x"]'.padEnd(5000) }) };
        failed(await infer('Predictions', request, { isCompressed: true }), 12, 'Compressed messages are not accepted');
      },
    );

    behaviour(
      '5.1',
      'same',
      'a connection older than its age is told to go away; calls on it are finished',
      async () => {
        const session = connect(`http://${suite.server.grpcManagement}`);
        session.on('error', () => undefined);
        try {
          await Promise.all([once(session, 'goaway'), once(session, 'close')]);
        } finally {
          session.destroy();
        }
        assert.equal((await manage('ListModels')).code, 0);
      },
    );
  });

  describe('streams', () => {
    behaviour(
      '5.5',
      'same',
      'StreamPredictions: a message for each piece; one where the handler does not stream',
      async () => {
        const streamed = await infer('StreamPredictions', { model_name: 'pieces', input: input({ data: 'x' }) });
        assert.deepEqual([streamed.code, predictions(streamed)], [0, ['one ', 'two ', 'three']]);
        const whole = await infer('StreamPredictions', {
          model_name: 'obey',
          input: input({ body: 'return ["whole"]' }),
        });
        assert.deepEqual([whole.code, predictions(whole)], [0, ['whole']]);
        const failing = await infer('StreamPredictions', {
          model_name: 'obey',
          input: input({ body: 'raise ValueError()' }),
        });
        failed(failing, 14, 'Prediction failed', INTERNAL_SERVER);
      },
    );

    behaviour('5.5', 'same', 'Predictions of a streaming handler is the whole in one message', async () => {
      const answer = await infer('Predictions', { model_name: 'pieces', input: input({ data: 'x' }) });
      assert.deepEqual(predictions(answer), ['one two three']);
    });

    const asked = (sequence: string, ...texts: readonly string[]): RpcMessage[] =>
      texts.map((data) => ({ model_name: 'adder', sequence_id: sequence, input: input({ data }) }));

    behaviour('5.5', 'same', 'StreamPredictions2: three requests of a sequence, three replies 1 3 6', async () => {
      const answer = await infer('StreamPredictions2', asked('one', '1', '2', '3'));
      assert.deepEqual([answer.code, predictions(answer)], [0, ['1', '3', '6']]);
      for (const message of answer.messages) assert.deepEqual(Object.keys(message), ['prediction']);
      assert.deepEqual(predictions(await infer('StreamPredictions2', asked('one', '4'))), ['10']);
      assert.deepEqual(predictions(await infer('StreamPredictions2', asked('two', '5'))), ['5']);
    });

    behaviour('5.5', 'same', 'continuous batching streams its steps, and sequences of it answer in order', async () => {
      const counted = await infer('StreamPredictions', { model_name: 'counter', input: input({ data: '4' }) });
      assert.deepEqual([counted.code, predictions(counted)], [0, ['1 ', '2 ', '3 ', '4 ']]);
      const joined = await infer('Predictions', { model_name: 'counter', input: input({ data: '3' }) });
      assert.deepEqual(predictions(joined), ['1 2 3 ']);
      const numbers = ['1', '2', '3', '0', '7'].map((data) => ({
        model_name: 'streamed-adder',
        sequence_id: 'continuous',
        input: input({ data }),
      }));
      const added = await infer('StreamPredictions2', numbers);
      assert.deepEqual([added.code, predictions(added)], [0, ['1', '3', '6', '6', '7']]);
    });

    behaviour(
      '5.5',
      'same',
      'a failed request of a sequence is a status with its reason, and the stream goes on',
      async () => {
        const status = (code: number, message: string, reason: string): RpcMessage => ({
          status: { code, message, details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason }] },
        });
        const answer = await infer('StreamPredictions2', [
          { model_name: 'adder', input: input({ data: '1' }) },
          { model_name: 'none', sequence_id: 'errors', input: input({ data: '1' }) },
          { model_name: 'adder', model_version: '9', sequence_id: 'errors', input: input({ data: '1' }) },
          { sequence_id: 'errors', input: input({ data: '1' }) },
          ...asked('errors', 'fail', '7'),
        ]);
        assert.deepEqual(
          [answer.code, answer.messages],
          [
            0,
            [
              status(13, 'Parameter sequenceId is required.', 'BadRequestException.()'),
              status(13, 'Model not found: none', MODEL_NOT_FOUND),
              status(13, 'Model version: 9 does not exist for model: adder', VERSION_NOT_FOUND),
              status(13, 'Parameter model_name is required.', 'BadRequestException.()'),
              status(14, 'Prediction failed', INTERNAL_SERVER),
              { prediction: base64('7') },
            ],
          ],
        );
      },
    );

    behaviour(
      '5.5',
      'stricter',
      'the handler hears ts_request_sequence_end only where the request says so, not on every one',
      async () => {
        const [plain, last] = asked('marks', 'headers', 'headers');
        const marked = { ...last, input: input({ data: 'headers', ts_request_sequence_end: 'true' }) };
        const seen = predictions(await infer('StreamPredictions2', [plain!, marked])).map(
          (text) => JSON.parse(text) as Record<string, unknown>,
        );
        assert.deepEqual(
          seen.map((headers) => [headers['ts_request_sequence_id'], headers['ts_request_sequence_end']]),
          [
            ['marks', undefined],
            ['marks', 'true'],
          ],
        );
      },
    );

    behaviour('5.5', 'same', 'a plain prediction of a stateful model has no header of a sequence', async () => {
      const request = { model_name: 'probe', sequence_id: 'ignored', input: input({ data: 'x' }) };
      const [text = ''] = predictions(await infer('Predictions', request));
      assert.deepEqual((JSON.parse(text) as Probed).headers, { data: { 'content-type': '' } });
    });
  });

  describe('management', () => {
    behaviour(
      '5.3',
      'same',
      'register, describe, list, scale, set default and unregister, in REST’s bare words',
      async () => {
        const register = { url: 'idle', model_name: 'life', batch_size: 4, max_batch_delay: 7, response_timeout: 9 };
        assert.equal(
          said(
            await manage('RegisterModel', { ...register, startup_timeout: 30, initial_workers: 1, synchronous: true }),
          ),
          'Model "life" Version: 1.0 registered with 1 initial workers',
        );
        const text = said(await manage('DescribeModel', { model_name: 'life' }));
        const [view] = JSON.parse(text) as [Record<string, unknown>];
        assert.equal(text, JSON.stringify([view], null, 2));
        assert.deepEqual(
          ['modelName', 'batchSize', 'maxBatchDelay', 'responseTimeout', 'startupTimeout'].map((name) => view[name]),
          ['life', 4, 7, 9, 30],
        );
        assert.equal(
          said(await manage('DescribeModel', { model_name: 'life', model_version: 'all' })).slice(0, 2),
          '[\n',
        );
        assert.equal(said(await manage('ListModels')), '{\n  "nextPageToken": "0",\n  "models": []\n}');
        assert.equal(
          said(await manage('ListModels', { limit: 1, next_page_token: 2 })),
          '{\n  "nextPageToken": "3",\n  "models": [\n    {\n      "modelName": "life",\n      "modelUrl": "idle"\n    }\n  ]\n}',
        );
        const scale = { model_name: 'life', min_worker: 2, synchronous: true };
        assert.equal(said(await manage('ScaleWorker', scale)), 'Workers scaled to 2 for model: life');
        assert.equal(
          said(
            await manage('ScaleWorker', { ...scale, model_version: '1.0', min_worker: 1, number_gpu: 3, timeout: -1 }),
          ),
          'Workers scaled to 1 for model: life, version: 1.0',
        );
        const version = { model_name: 'life', model_version: '1.0' };
        assert.equal(
          said(await manage('SetDefault', version)),
          'Default version successfully updated for model "life" to "1.0"',
        );
        assert.equal(said(await manage('UnregisterModel', version)), 'Model "life" unregistered');
      },
    );

    behaviour(
      '5.3',
      'same',
      'what is zero is not given: one worker instead of none, and asynchronous by default',
      async () => {
        const register = { url: 'idle', model_name: 'zero', batch_size: 0, initial_workers: 0, max_batch_delay: -1 };
        assert.match(said(await manage('RegisterModel', register)), /^(Processing worker updates\.\.\.|Model "zero" )/);
        const [view] = JSON.parse(said(await manage('DescribeModel', { model_name: 'zero' })));
        assert.deepEqual([view.batchSize, view.maxBatchDelay], [1, 100]);
        for (const least of [0, -1]) {
          assert.equal(
            said(await manage('ScaleWorker', { model_name: 'zero', min_worker: least })),
            'Processing worker updates...',
          );
        }
        const [scaled] = JSON.parse(said(await manage('DescribeModel', { model_name: 'zero' })));
        assert.deepEqual([scaled.minWorkers, scaled.maxWorkers], [1, 1]);
        assert.equal(said(await manage('UnregisterModel', { model_name: 'zero' })), 'Model "zero" unregistered');
      },
    );

    behaviour(
      '5.4',
      'same',
      'errors of management: the code of the situation, the message and Java’s class',
      async () => {
        const none = { model_name: 'none' };
        const notFound = ['Model not found: none', MODEL_NOT_FOUND] as const;
        for (const method of ['DescribeModel', 'ScaleWorker', 'UnregisterModel']) {
          failed(await manage(method, none), 5, ...notFound);
        }
        failed(await manage('SetDefault', { ...none, model_version: '1.0' }), 5, ...notFound);
        failed(await manage('DescribeModel', { ...none, customized: true }), 13, ...notFound);
        for (const method of ['DescribeModel', 'ScaleWorker', 'UnregisterModel']) {
          failed(
            await manage(method, { model_name: 'obey', model_version: '9' }),
            5,
            'Model version: 9 does not exist for model: obey',
            VERSION_NOT_FOUND,
          );
        }
        failed(
          await manage('SetDefault', { model_name: 'obey', model_version: '9' }),
          5,
          'Model version 9 does not exist for model obey',
          VERSION_NOT_FOUND,
        );
        failed(await manage('RegisterModel'), 3, 'Parameter url is required.', BAD_REQUEST);
        failed(await manage('UnregisterModel'), 3, 'Parameter url is required.', BAD_REQUEST);
        failed(
          await manage('RegisterModel', { url: 'idle', runtime: 'perl' }),
          3,
          'Invalid RuntimeType value: perl',
          BAD_REQUEST,
        );
        failed(await manage('RegisterModel', { url: 'x.mar' }), 5, 'Model not found at: x.mar', MODEL_NOT_FOUND);
        failed(
          await manage('ScaleWorker', { model_name: 'obey', min_worker: 2, max_worker: 1 }),
          3,
          'max_worker cannot be less than min_worker.',
          BAD_REQUEST,
        );
        failed(
          await manage('RegisterModel', { url: 'broken', initial_workers: 1, synchronous: true }),
          13,
          'Failed to start workers for model broken version: 1.0',
          INTERNAL_SERVER,
        );
      },
    );

    behaviour(
      '5.4',
      'stricter',
      'a version that is there already is ABORTED, where TorchServe says UNKNOWN',
      async () => {
        failed(
          await manage('RegisterModel', { url: 'obey' }),
          10,
          'Model version 1.0 is already registered for model obey',
          'org.pytorch.serve.http.ConflictStatusException',
        );
      },
    );
  });

  describe('keys', () => {
    behaviour(
      '5.7',
      'same',
      'a wrong key, the other server’s key, a bare key or two keys: PERMISSION_DENIED',
      async () => {
        const { server } = suite;
        const bearer = (key: string): readonly [string, string] => ['authorization', `Bearer ${key}`];
        const wrong: readonly RpcSettings[] = [
          { key: undefined },
          { key: 'wrong' },
          { key: server.key('API') },
          { key: undefined, metadata: [['authorization', server.key('inference')]] },
          { key: undefined, metadata: [['authorization', `bearer ${server.key('inference')}`]] },
          { key: undefined, metadata: [['token', `Bearer ${server.key('inference')}`]] },
          { key: undefined, metadata: [bearer(server.key('inference')), bearer(server.key('inference'))] },
        ];
        const request = { model_name: 'probe', input: input({ data: 'x' }) };
        for (const settings of [...wrong, { key: server.key('management') }]) {
          failed(await infer('Predictions', request, settings), 7, KEY_REFUSED_TEXT);
          failed(await infer('StreamPredictions', request, settings), 7, KEY_REFUSED_TEXT);
          failed(await infer('StreamPredictions2', [request], settings), 7, KEY_REFUSED_TEXT);
        }
        const blanks = {
          key: undefined,
          metadata: [['authorization', `Bearer   ${server.key('inference')}`]],
        } as const;
        assert.equal((await infer('Predictions', request, blanks)).code, 0);
        for (const settings of [{ key: undefined }, { key: 'wrong' }, { key: server.key('inference') }]) {
          failed(await manage('ListModels', {}, settings), 7, KEY_REFUSED_TEXT);
          failed(await manage('DescribeModel', { model_name: 'none' }, settings), 7, KEY_REFUSED_TEXT);
        }
      },
    );

    behaviour('5.7', 'stricter', 'Ping answers without a key, as /ping does', async () => {
      assert.equal((await infer('Ping', {}, { key: undefined })).code, 0);
    });

    behaviour(
      '5.7',
      'stricter',
      'a refused call is in the access log, where TorchServe leaves no trace of it',
      async () => {
        failed(await infer('StreamPredictions2', [{}], { key: 'wrong' }), 7, KEY_REFUSED_TEXT);
        const log = join(suite.server.dir, 'logs', 'access_log.log');
        const line =
          /"gRPC org\.pytorch\.serve\.grpc\.inference\.InferenceAPIsService\/StreamPredictions2 HTTP\/2\.0" 7 \d+/;
        await untilInFile(log, line);
      },
    );
  });
});

describeWithServer(
  'gRPC without the model API',
  fill,
  { models: ['idle'], config: ['enable_model_api=false'] },
  (suite) => {
    behaviour('5.4', 'same', 'register and unregister are PERMISSION_DENIED while the model API is off', async () => {
      await using rpc = new PythonRpc();
      for (const [method, request] of [
        ['RegisterModel', { url: 'obey' }],
        ['UnregisterModel', { model_name: 'idle' }],
      ] as const) {
        const { code, details } = await rpc.call(
          suite.server.grpcManagement,
          `ManagementAPIsService/${method}`,
          request,
        );
        assert.deepEqual([code, details], [7, 'Model API disabled\norg.pytorch.serve.archive.model.ModelException']);
      }
      const described = await rpc.call(suite.server.grpcManagement, 'ManagementAPIsService/DescribeModel', {
        model_name: 'idle',
      });
      assert.equal(described.code, 0);
    });
  },
);
