// The Open Inference Protocol over gRPC (surface spec 5.6) on the real server, with the envelope kservev2 around a real
// handler, called by Python's grpcio.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { NOOP, type TestStore } from '../support/model-store.ts';
import { base64, PythonRpc, type RpcAnswer, type RpcMessage, type RpcSettings } from '../support/python-rpc.ts';
import { behaviour } from './behaviour.ts';

/** Every tensor comes back; `show` tells what the handler was given instead. */
const TENSORS = `
import numpy

def handle(data, context):
    if data is None:
        return None
    if context.model_name == "odd":
        return [numpy.array([numpy.nan, numpy.inf, -numpy.inf, 0.5], dtype="float32")]
    if context.model_name == "show":
        return ["%s %s %s" % (type(row).__name__, getattr(row, "dtype", ""), row.tolist() if hasattr(row, "tolist") else row) for row in data]
    return data
`;
const LATE = `
import time

class Late(object):
    def initialize(self, context):
        time.sleep(60)

    def handle(self, data, context):
        return data
`;

const fill = (store: TestStore): void => {
  for (const name of ['tensors', 'show', 'odd']) store.add(name, TENSORS);
  store.addArchive('second.mar', 'tensors', TENSORS, { model: { modelVersion: '2.0' } });
  store.add('late', LATE);
};

describeWithServer(
  'the Open Inference Protocol by Python',
  fill,
  {
    models: ['tensors', 'show', 'odd'],
    config: ['service_envelope=kservev2', 'ts_open_inference_protocol=true', 'disable_token_authorization=false'],
  },
  (suite) => {
    let rpc: PythonRpc;
    before(() => {
      rpc = new PythonRpc();
    });
    after(() => rpc?.[Symbol.asyncDispose]());

    const STANDARD = 'inference.GRPCInferenceService';
    const call = (method: string, request: RpcMessage = {}, settings: RpcSettings = {}): Promise<RpcAnswer> =>
      rpc.call(suite.server.grpcInference, `GRPCInferenceService/${method}`, request, {
        key: suite.server.key('inference'),
        ...settings,
      });
    const answered = (answer: RpcAnswer): RpcMessage => {
      assert.equal(answer.code, 0, answer.details);
      return answer.messages[0] ?? {};
    };
    const tensor = (datatype: string, contents: RpcMessage, shape: readonly string[] = ['2']): RpcMessage => ({
      name: 'x',
      datatype,
      shape,
      contents,
    });

    behaviour('5.6', 'same', 'live and ready are true, metadata of the server is not implemented', async () => {
      assert.deepEqual(answered(await call('ServerLive')), { live: true });
      assert.deepEqual(answered(await call('ServerReady')), { ready: true });
      assert.equal((await call('ServerMetadata')).code, 12);
    });

    behaviour('2.9', 'same', 'ts_open_inference_protocol=true switches it on for REST as well', async () => {
      assert.equal((await suite.server.infer('/v2/health/ready')).text, '{\n  "ready": true\n}\n');
    });

    behaviour(
      '5.6',
      'same',
      'a model is ready with its workers, unknown ones are NOT_FOUND, no name INTERNAL',
      async () => {
        await eventually(
          'the model is ready',
          async () => answered(await call('ModelReady', { name: 'tensors' }))['ready'] === true,
        );
        assert.deepEqual(answered(await call('ModelReady', { name: 'tensors', version: '1.0' })), { ready: true });
        const missing = await call('ModelReady');
        assert.deepEqual([missing.code, missing.details], [13, 'Parameter name is required.\nBadRequestException.()']);
        const unknown = await call('ModelReady', { name: 'none' });
        assert.deepEqual(
          [unknown.code, unknown.details],
          [5, 'Model not found: none\norg.pytorch.serve.archive.model.ModelNotFoundException'],
        );
      },
    );

    behaviour('5.6', 'stricter', 'a model whose worker is still loading is not ready yet', async () => {
      const register = { url: 'late', initial_workers: 1, synchronous: false };
      await rpc.call(suite.server.grpcManagement, 'ManagementAPIsService/RegisterModel', register, {
        key: suite.server.key('management'),
      });
      // proto3 leaves out what is false.
      assert.deepEqual(answered(await call('ModelReady', { name: 'late' })), {});
      await suite.server.manage('DELETE', '/models/late');
    });

    behaviour('5.6', 'same', 'metadata of a model: name, every version, an empty platform', async () => {
      await suite.server.manage('POST', '/models?url=second.mar');
      assert.deepEqual(answered(await call('ModelMetadata', { name: 'tensors' })), {
        name: 'tensors',
        versions: ['1.0', '2.0'],
      });
      const missing = await call('ModelMetadata');
      assert.deepEqual(
        [missing.code, missing.details],
        [13, 'Parameter model_name is required.\nBadRequestException.()'],
      );
      assert.equal((await call('ModelMetadata', { name: 'none' })).code, 5);
      await suite.server.manage('DELETE', '/models/tensors/2.0');
    });

    behaviour('5.6', 'same', 'tensors of every datatype come back as they were sent', async () => {
      const all: Readonly<Record<string, RpcMessage>> = {
        BOOL: { bool_contents: [true, false] },
        INT8: { int_contents: [127, -128] },
        INT16: { int_contents: [32767, -32768] },
        INT32: { int_contents: [2147483647, -2147483648] },
        INT64: { int64_contents: ['9223372036854775807', '-9007199254740993'] },
        UINT8: { uint_contents: [0, 255] },
        UINT16: { uint_contents: [0, 65535] },
        UINT32: { uint_contents: [0, 4294967295] },
        UINT64: { uint64_contents: ['0', '18446744073709551615'] },
        FP16: { fp32_contents: [0.5, -2] },
        FP32: { fp32_contents: [0.25, 3] },
        FP64: { fp64_contents: [0.1, 1e300] },
      };
      for (const [datatype, contents] of Object.entries(all)) {
        const request = {
          model_name: 'tensors',
          model_version: '1.0',
          id: 'mine',
          inputs: [tensor(datatype, contents)],
        };
        assert.deepEqual(
          answered(await call('ModelInfer', request)),
          { model_name: 'tensors', model_version: '1.0', id: 'mine', outputs: [tensor(datatype, contents)] },
          datatype,
        );
      }
    });

    behaviour('5.6', 'same', 'NaN and both infinities, which JSON has no words for, arrive', async () => {
      const answer = answered(await call('ModelInfer', { model_name: 'odd', inputs: [tensor('FP32', {}, ['0'])] }));
      assert.deepEqual(answer['outputs'], [
        tensor('FP32', { fp32_contents: ['NaN', 'Infinity', '-Infinity', 0.5] }, ['4']),
      ]);
    });

    behaviour(
      '5.6',
      'same',
      'the handler gets arrays of the shape and type that was sent, BYTES in base64',
      async () => {
        const shown = async (input: RpcMessage): Promise<unknown> => {
          const { outputs } = answered(await call('ModelInfer', { model_name: 'show', inputs: [input] })) as {
            outputs: [{ datatype: string; contents: { bytes_contents: [string] } }];
          };
          assert.equal(outputs[0].datatype, 'BYTES');
          // The JSON text of the element, quotes included.
          const text = Buffer.from(outputs[0].contents.bytes_contents[0], 'base64').toString();
          assert.match(text, /^".*"$/s);
          return JSON.parse(text);
        };
        const square = tensor('FP32', { fp32_contents: [1, 2, 3, 4] }, ['2', '2']);
        assert.equal(await shown(square), 'ndarray float32 [[1.0, 2.0], [3.0, 4.0]]');
        assert.equal(await shown(tensor('INT64', { int64_contents: ['-5'] }, ['1'])), 'ndarray int64 [-5]');
        const bytes = tensor('BYTES', { bytes_contents: [base64('raw bytes')] }, ['1']);
        assert.equal(await shown(bytes), `str  ${base64('raw bytes')}`);
      },
    );

    behaviour(
      '5.6',
      'same',
      'without an id the request’s own id comes back; several tensors keep their order',
      async () => {
        const inputs = ['a', 'b'].map((name) => ({ ...tensor('INT32', { int_contents: [1] }, ['1']), name }));
        const answer = answered(
          await call('ModelInfer', {
            model_name: 'tensors',
            inputs,
            parameters: { any: { string_param: 'ignored' } },
            outputs: [{ name: 'ignored' }],
          }),
        );
        assert.match(String(answer['id']), /^[0-9a-f-]{36}$/);
        assert.deepEqual(answer['outputs'], inputs);
      },
    );

    behaviour('5.6', 'same', 'errors of ModelInfer are those of Predictions', async () => {
      const empty = await call('ModelInfer');
      assert.deepEqual([empty.code, empty.details], [13, 'Parameter model_name is required.\nBadRequestException.()']);
      const unknown = await call('ModelInfer', { model_name: 'none' });
      assert.deepEqual(
        [unknown.code, unknown.details],
        [13, 'Model not found: none\norg.pytorch.serve.archive.model.ModelNotFoundException'],
      );
      const version = await call('ModelInfer', { model_name: 'tensors', model_version: '9' });
      assert.deepEqual(
        [version.code, version.details],
        [
          13,
          'Model version: 9 does not exist for model: tensors\norg.pytorch.serve.archive.model.ModelVersionNotFoundException',
        ],
      );
    });

    behaviour('5.6', 'same', 'stock KServe clients find the service under its own package, too', async () => {
      const settings = { wireName: STANDARD };
      assert.deepEqual(answered(await call('ServerReady', {}, settings)), { ready: true });
      const request = { model_name: 'tensors', inputs: [tensor('INT32', { int_contents: [1, 2] })] };
      assert.deepEqual(answered(await call('ModelInfer', request, settings))['outputs'], request.inputs);
    });

    behaviour(
      '5.7',
      'same',
      'the inference key opens the protocol’s service, the management key does not',
      async () => {
        for (const wireName of ['org.pytorch.serve.grpc.openinference.GRPCInferenceService', STANDARD]) {
          for (const key of [undefined, suite.server.key('management')]) {
            for (const method of ['ModelReady', 'ModelMetadata', 'ModelInfer', 'ServerMetadata']) {
              const { code, details } = await call(method, {}, { key, wireName });
              assert.deepEqual(
                [code, details],
                [7, 'Token Authorization failed. Token either incorrect, expired, or not provided correctly'],
              );
            }
          }
        }
      },
    );

    behaviour('5.7', 'stricter', 'live and ready answer without a key, as probes do', async () => {
      for (const method of ['ServerLive', 'ServerReady'])
        assert.equal((await call(method, {}, { key: undefined })).code, 0);
    });
  },
);

describeWithServer(
  'gRPC without the Open Inference Protocol',
  (store) => store.add('noop', NOOP),
  {},
  (suite) => {
    behaviour(
      '2.9',
      'same',
      'the Open Inference Protocol’s health routes do not exist unless switched on',
      async () => {
        for (const path of ['/v2', '/v2/health/live', '/v2/health/ready']) {
          assert.equal((await suite.server.infer(path)).status, 404, path);
        }
      },
    );

    behaviour('5.6', 'same', 'the protocol’s service is not implemented unless it is switched on', async () => {
      await using rpc = new PythonRpc();
      for (const wireName of [
        'org.pytorch.serve.grpc.openinference.GRPCInferenceService',
        'inference.GRPCInferenceService',
      ]) {
        const answer = await rpc.call(suite.server.grpcInference, 'GRPCInferenceService/ServerLive', {}, { wireName });
        assert.equal(answer.code, 12);
      }
    });
  },
);
