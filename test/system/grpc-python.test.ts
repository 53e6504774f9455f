// Python's grpcio as the client, with messages made from our descriptors by Python's own protobuf.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { toBinary } from '@bufbuild/protobuf';
import {
  FileDescriptorProtoSchema,
  file_google_protobuf_any,
  file_google_protobuf_empty,
} from '@bufbuild/protobuf/wkt';
import { file_google_rpc_error_details } from '../../src/grpc/gen/google/rpc/error_details_pb.ts';
import { file_google_rpc_status } from '../../src/grpc/gen/google/rpc/status_pb.ts';
import { file_inference } from '../../src/grpc/gen/inference_pb.ts';
import { file_management } from '../../src/grpc/gen/management_pb.ts';
import { echoScript, openStage } from '../support/grpc-fakes.ts';

const python = process.env['DAVY_PYTHON'];

const CLIENT = `
import base64, json, sys, grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
given = json.loads(sys.argv[1])
pool = descriptor_pool.DescriptorPool()
for text in given["files"]:
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text)))
def kind(name):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
I, M = "org.pytorch.serve.grpc.inference.", "org.pytorch.serve.grpc.management."
Request, Response = kind(I + "PredictionsRequest"), kind(I + "PredictionResponse")
options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
key = (("authorization", "Bearer infer"),)
out = {}
with grpc.insecure_channel("127.0.0.1:%d" % given["inference"], options=options) as channel:
    def method(shape, name):
        return shape("/" + I + "InferenceAPIsService/" + name, request_serializer=Request.SerializeToString, response_deserializer=Response.FromString)
    predict = method(channel.unary_unary, "Predictions")
    big = bytes(range(256)) * 16000
    out["big"] = predict(Request(model_name="m", input={"data": big}), metadata=key).prediction == big
    def failure(call):
        try:
            call()
            return None
        except grpc.RpcError as error:
            return [error.code().name, error.details()]
    out["unknown"] = failure(lambda: predict(Request(model_name="unknown"), metadata=key))
    out["wrong key"] = failure(lambda: predict(Request(model_name="m"), metadata=(("authorization", "Bearer x"),)))
    out["two keys"] = failure(lambda: predict(Request(model_name="m"), metadata=key + key))
    out["wrong key, large"] = failure(lambda: predict(Request(model_name="m", input={"data": big})))
    out["too large"] = failure(lambda: predict(Request(model_name="m", input={"data": big + big}), metadata=key))
    out["gzip"] = failure(lambda: predict(Request(model_name="m", input={"data": big}), metadata=key, compression=grpc.Compression.Gzip))
    stream = method(channel.unary_stream, "StreamPredictions")
    out["stream"] = [piece.prediction.decode() for piece in stream(Request(model_name="m", input={"data": b"x"}), metadata=key)]
    both = method(channel.stream_stream, "StreamPredictions2")
    requests = [Request(model_name="m", sequence_id="s", input={"data": str(n).encode()}) for n in (1, 3, 6)]
    out["sequence"] = [answer.prediction.decode() for answer in both(iter(requests), metadata=key)]
    out["no sequence"] = [[answer.status.code, answer.status.message] for answer in both(iter([Request(model_name="m")]), metadata=key)]
with grpc.insecure_channel("127.0.0.1:%d" % given["management"]) as channel:
    register = channel.unary_unary("/" + M + "ManagementAPIsService/RegisterModel", request_serializer=kind(M + "RegisterModelRequest").SerializeToString, response_deserializer=kind(M + "ManagementResponse").FromString)
    out["register"] = register(kind(M + "RegisterModelRequest")(url="m.mar", initial_workers=1, synchronous=True), metadata=(("authorization", "Bearer manage"),)).msg
print(json.dumps(out))
`;

test(
  "Python's grpcio speaks to both services",
  { skip: python === undefined && 'DAVY_PYTHON is not set' },
  async () => {
    const stage = await openStage(echoScript);
    const files = [
      file_google_protobuf_any,
      file_google_protobuf_empty,
      file_google_rpc_status,
      file_google_rpc_error_details,
      file_inference,
      file_management,
    ].map((file) => Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)).toString('base64'));
    try {
      const given = JSON.stringify({ files, inference: stage.inferencePort, management: stage.managementPort });
      const { stdout } = await promisify(execFile)(python!, ['-c', CLIENT, given], { timeout: 60_000 });
      const refused = [
        'PERMISSION_DENIED',
        'Token Authorization failed. Token either incorrect, expired, or not provided correctly',
      ];
      assert.deepEqual(JSON.parse(stdout), {
        big: true,
        unknown: ['INTERNAL', 'Model not found: unknown\norg.pytorch.serve.archive.model.ModelNotFoundException'],
        'wrong key': refused,
        'two keys': refused,
        'wrong key, large': refused,
        'too large': ['RESOURCE_EXHAUSTED', 'gRPC message exceeds maximum size 6553500: 8192019'],
        gzip: ['UNIMPLEMENTED', 'Compressed messages are not accepted'],
        stream: ['x'],
        sequence: ['1', '3', '6'],
        'no sequence': [[13, 'Parameter sequenceId is required.']],
        register: 'Model "m" Version: 1.0 registered with 1 initial workers',
      });
    } finally {
      await stage.close();
    }
  },
);
