// KServe's routes (surface spec 2.1, 2.9) and the four envelopes (9.9) around handlers that know nothing of them.
import assert from 'node:assert/strict';
import { describeWithServer } from '../support/compat-suite.ts';
import type { Exchanged } from '../support/http-exchange.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { PROBE, type Probed } from '../support/probe-handlers.ts';
import { behaviour } from './behaviour.ts';

const JSON_TYPE = { 'Content-Type': 'application/json' };

/** Doubles what it is given, item by item; shows the Python type of what is no number. */
const DOUBLE = `
import numpy

def handle(data, context):
    if data is None:
        return None
    return [row * 2 if isinstance(row, (int, float, numpy.ndarray)) else type(row).__name__ for row in data]
`;

/** Shows what an envelope made of the batch. */
const SHOW = `
def handle(data, context):
    if data is None:
        return None
    return [repr(row) for row in data]
`;

const probeOnly = (store: TestStore): void => store.add('probe', PROBE);

const switchedOff = {
  models: ['probe'],
  config: ['ts_open_inference_protocol=true'],
  env: { TS_OPEN_INFERENCE_PROTOCOL: 'none' },
};

describeWithServer('the routes of KServe', probeOnly, switchedOff, (suite) => {
  behaviour(
    '2.1',
    'same',
    'v1 and v2 routes run the default version and tell predictions from explanations',
    async () => {
      for (const [path, explain] of [
        ['/v1/models/probe:predict', 'False'],
        ['/v1/models/probe:explain', 'True'],
        ['/v2/models/probe/infer', 'False'],
        ['/v2/models/probe/explain', 'True'],
      ] as const) {
        const answer = await suite.server.infer(path, {
          method: 'POST',
          headers: JSON_TYPE,
          body: '{"instances": [1]}',
        });
        const { data, headers } = answer.json<Probed>();
        assert.deepEqual([data['body']?.value, headers['explain']], [{ instances: [1] }, explain], path);
      }
    },
  );

  behaviour('2.1', 'same', 'v1 and v2 routes are always there, whatever the envelope', async () => {
    assert.equal((await suite.server.infer('/v1/models/probe:predict')).status, 200);
    assert.equal((await suite.server.infer('/v1/models/none:predict')).status, 404);
  });

  behaviour('2.9', 'same', 'any other TS_OPEN_INFERENCE_PROTOCOL switches it off, whatever the file says', async () => {
    for (const path of ['/v2', '/v2/health/live', '/v2/health/ready']) {
      assert.equal((await suite.server.infer(path)).status, 404, path);
    }
  });
});

describeWithServer(
  'the Open Inference Protocol with keys',
  () => {},
  { env: { TS_OPEN_INFERENCE_PROTOCOL: 'oip' }, config: ['disable_token_authorization=false'] },
  (suite) => {
    behaviour('2.9', 'stricter', 'live and ready answer without a key, as every probe does', async () => {
      for (const path of ['/v2/health/live', '/v2/health/ready']) {
        assert.equal((await suite.server.infer(path)).status, 200, path);
      }
      assert.equal((await suite.server.infer('/v2')).status, 400);
    });
  },
);

describeWithServer(
  'the Open Inference Protocol',
  (store) => store.add('noop', NOOP),
  { env: { TS_OPEN_INFERENCE_PROTOCOL: 'oip' } },
  (suite) => {
    behaviour('2.9', 'same', 'with TS_OPEN_INFERENCE_PROTOCOL=oip the server is always live and ready', async () => {
      assert.equal((await suite.server.infer('/v2/health/ready')).text, '{\n  "ready": true\n}\n');
      assert.equal((await suite.server.infer('/v2/health/live')).text, '{\n  "live": true\n}\n');
    });

    behaviour('2.9', 'same', '/v2 names the server and its extensions, misspelt key included', async () => {
      const { name, version, ...rest } = (await suite.server.infer('/v2')).json<Record<string, unknown>>();
      assert.deepEqual([name, rest], ['Torchserve', { extenstion: ['kserve', 'kubeflow'] }]);
      assert.match(String(version), /^\d+\.\d+/);
    });

    behaviour('2.9', 'same', 'paths with versions are 501', async () => {
      for (const path of ['/v2/models/noop/versions/1', '/v2/models/noop/versions/1/infer']) {
        const answer = await suite.server.infer(path);
        assert.deepEqual(
          [answer.status, answer.text],
          [501, '{\n  "error": "Model versioning is not yet supported."\n}\n'],
          path,
        );
      }
    });
  },
);

/** A class, and a stored answer for each kind of output that the protocol names. */
const OUTPUTS = `
import numpy

class Outputs:
    def initialize(self, context):
        pass

    def handle(self, data, context):
        return [numpy.array([[1.5, 2.5]], dtype=numpy.float32), numpy.array([True, False]), "text " + str(len(data))]
`;

const enveloped = (store: TestStore): void => {
  store.add('double', DOUBLE);
  store.add('show', SHOW);
  store.add('together', SHOW, { config: 'minWorkers: 1\nmaxWorkers: 1\nbatchSize: 2\nmaxBatchDelay: 500\n' });
  store.add('outputs', OUTPUTS);
};
const withEnvelope = (
  name: string,
  tests: (infer: (path: string, body: unknown) => Promise<Exchanged>) => void,
): void =>
  describeWithServer(
    `the envelope ${name}`,
    enveloped,
    { models: ['double', 'show', 'together', 'outputs'], config: [`service_envelope=${name}`] },
    (suite) =>
      tests((path, body) =>
        suite.server.infer(path, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(body) }),
      ),
  );

withEnvelope('body', (infer) => {
  behaviour('9.9', 'same', 'body: the handler gets each row’s data or body, and answers are unchanged', async () => {
    assert.equal((await infer('/predictions/double', 21)).text, '42');
    assert.equal((await infer('/predictions/show', { a: 1 })).text, "{'a': 1}");
  });
});

withEnvelope('json', (infer) => {
  behaviour('9.9', 'same', 'json: instances go in, predictions come back', async () => {
    const answer = await infer('/predictions/double', { instances: [1, 2, 3.5] });
    assert.deepEqual(JSON.parse(answer.text), { predictions: [2, 4, 7] });
  });

  behaviour(
    '9.9',
    'same',
    'json: the instances of all requests of a batch are one batch, and each client gets its own',
    async () => {
      const bodies = [{ instances: ['a', 'b'] }, { instances: [] }, { instances: ['c'] }];
      const answers = await Promise.all(bodies.map((body) => infer('/predictions/together', body)));
      assert.deepEqual(
        answers.map(({ text }) => JSON.parse(text)),
        [{ predictions: ["'a'", "'b'"] }, { predictions: [] }, { predictions: ["'c'"] }],
      );
    },
  );

  behaviour('9.9', 'same', 'json: a body that is no JSON object with instances fails its request', async () => {
    assert.equal((await infer('/predictions/show', { inputs: [1] })).status, 503);
    assert.equal((await infer('/predictions/show', [1])).status, 503);
  });

  behaviour('9.9', 'same', 'json: b64 objects are decoded to bytes, whole instances and columns', async () => {
    const b64 = Buffer.from('hi').toString('base64');
    const whole = await infer('/predictions/show', { instances: [{ b64 }] });
    assert.deepEqual(JSON.parse(whole.text), { predictions: ["b'hi'"] });
    const column = await infer('/predictions/show', { instances: [{ image: { b64 }, n: 1 }] });
    assert.deepEqual(JSON.parse(column.text), { predictions: ["{'image': b'hi', 'n': 1}"] });
  });
});

withEnvelope('kserve', (infer) => {
  behaviour('9.9', 'same', 'kserve: of a batch only the first request is read', async () => {
    // The second has no answer of its own then; Davy runs the two once more, one by one.
    const answers = await Promise.all([1, 2].map((n) => infer('/predictions/together', { instances: [n] })));
    assert.deepEqual(
      answers.map(({ text }) => JSON.parse(text)),
      [{ predictions: ['1'] }, { predictions: ['2'] }],
    );
  });

  behaviour('9.9', 'same', 'kserve: instances in, predictions out', async () => {
    const answer = await infer('/v1/models/double:predict', { instances: [1, 2] });
    assert.deepEqual(JSON.parse(answer.text), { predictions: [2, 4] });
  });

  behaviour('12.2', 'same', 'every explanation route wraps the handler’s answer as explanations', async () => {
    for (const path of ['/explanations/double', '/explanations/double/1.0', '/v2/models/double/explain']) {
      const answer = await infer(path, { instances: [4, 5] });
      assert.deepEqual(JSON.parse(answer.text), { explanations: [8, 10] }, path);
    }
    assert.deepEqual(JSON.parse((await infer('/predictions/double', { instances: [4] })).text), { predictions: [8] });
  });

  behaviour('9.9', 'same', 'kserve: an explanation comes back as explanations', async () => {
    const answer = await infer('/v1/models/double:explain', { instances: [4] });
    assert.deepEqual(JSON.parse(answer.text), { explanations: [8] });
  });
});

withEnvelope('kservev2', (infer) => {
  interface V2 {
    readonly id: string;
    readonly model_name: string;
    readonly model_version: string;
    readonly outputs: readonly Record<string, unknown>[];
  }

  behaviour('9.9', 'same', 'kservev2: tensors in, tensors out, the id echoed', async () => {
    const body = { id: 'abc', inputs: [{ name: 'x', shape: [2, 2], datatype: 'INT64', data: [1, 2, 3, 4] }] };
    const answer = (await infer('/v2/models/double/infer', body)).json<V2>();
    assert.deepEqual([answer.id, answer.model_name, answer.model_version], ['abc', 'double', '1.0']);
    const [output] = answer.outputs;
    assert.equal(output!['name'], 'x');
    assert.deepEqual(output!['data'], [2, 4, 6, 8]);
    assert.equal(output!['datatype'], 'INT64');
  });

  behaviour(
    '9.9',
    'same',
    'kservev2: each output has its datatype, its flattened shape, and the name of the input at its place',
    async () => {
      const tensor = (name: string): object => ({ name, shape: [1], datatype: 'FP32', data: [0.5] });
      const answer = await infer('/v2/models/outputs/infer', { inputs: [tensor('x'), tensor('y'), tensor('z')] });
      assert.deepEqual(answer.json<V2>().outputs, [
        { name: 'x', datatype: 'FP32', data: [1.5, 2.5], shape: [2] },
        { name: 'y', datatype: 'BOOL', data: [true, false], shape: [2] },
        { name: 'z', datatype: 'BYTES', data: ['text 3'], shape: [1] },
      ]);
    },
  );

  behaviour('9.9', 'same', 'kservev2: BYTES is the first element, numbers are an array of their shape', async () => {
    const inputs = [
      { name: 'words', shape: [2], datatype: 'BYTES', data: ['first', 'second'] },
      { name: 'grid', shape: [2, 1], datatype: 'INT8', data: [1, 2] },
    ];
    const [words, grid] = (await infer('/v2/models/show/infer', { inputs })).json<V2>().outputs;
    assert.deepEqual(words!['data'], ["'first'"]);
    assert.match(String(grid!['data']), /^array\(\[\[1\],\s+\[2\]\], dtype=int8\)$/);
  });

  behaviour('9.9', 'same', 'kservev2: without an id the request’s own id is given', async () => {
    const body = { inputs: [{ name: 'x', shape: [1], datatype: 'FP32', data: [0.5] }] };
    const exchanged = await infer('/v2/models/double/infer', body);
    assert.equal(exchanged.json<V2>().id, exchanged.headers['x-request-id']);
  });
});
