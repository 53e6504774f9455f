// The management rows of TorchServe's own collection (surface spec 13.1) over gRPC: grpc-js and Python's grpcio as clients.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { describe } from 'node:test';
import { fromJson, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { file_management } from '../../src/grpc/gen/management_pb.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { oddIntegersOnGrpc, postmanRowsOnGrpc, type GrpcRow } from '../support/postman-grpc.ts';
import { openPostmanStage, POSTMAN_ROWS } from '../support/postman-rows.ts';
import { portOf } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';

/** The code and the description of every call, in order. */
type Answer = readonly [code: number, details: string];
type Ask = (port: number, calls: readonly GrpcRow[]) => Promise<readonly Answer[]>;

const PYTHON_CLIENT = `
import base64, json, sys, grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
given = json.load(sys.stdin)
pool = descriptor_pool.DescriptorPool()
pool.Add(descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(given["descriptor"])))
def kind(name):
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
service = pool.FindServiceByName(given["service"])
answers = []
with grpc.insecure_channel("127.0.0.1:%d" % given["port"]) as channel:
    for name, request, junk in given["calls"]:
        method = service.FindMethodByName(name)
        Request, Response = kind(method.input_type.full_name), kind(method.output_type.full_name)
        call = channel.unary_unary("/%s/%s" % (service.full_name, name), request_serializer=lambda message: message.SerializeToString() + base64.b64decode(junk), response_deserializer=Response.FromString)
        try:
            answers.append([0, call(Request(**request), timeout=60).msg])
        except grpc.RpcError as error:
            answers.append([error.code().value[0], error.details()])
print(json.dumps(answers))
`;

const askWithGrpcJs: Ask = async (port, calls) => {
  using client = new GrpcClient(port);
  const answers: Answer[] = [];
  for (const { method, request, junk } of calls) {
    const message = fromJson(method.input, request);
    const answer = client.unary(method, message, { junk, options: { deadline: Date.now() + 60_000 } }).then(
      ({ msg }): Answer => [0, msg],
      ({ code, details }: { code: number; details: string }): Answer => [code, details],
    );
    answers.push(await answer);
  }
  return answers;
};

const askWithPython: Ask = async (port, calls) => {
  const client = spawn(PYTHON, ['-c', PYTHON_CLIENT], { stdio: ['pipe', 'pipe', 'inherit'], timeout: 120_000 });
  await once(client, 'spawn');
  client.stdin.end(
    JSON.stringify({
      descriptor: Buffer.from(toBinary(FileDescriptorProtoSchema, file_management.proto)).toString('base64'),
      service: calls[0]!.method.parent.typeName,
      port,
      calls: calls.map(({ method, request, junk }) => [method.name, request, Buffer.from(junk).toString('base64')]),
    }),
  );
  return JSON.parse(await text(client.stdout)) as Answer[];
};

/** Runs the rows in order on a server of their own; every one that differs is told, not only the first. */
async function rowsHold(ask: Ask): Promise<void> {
  await using stage = await openPostmanStage();
  const rows = postmanRowsOnGrpc(stage.files);
  assert.equal(rows.length, Object.values(POSTMAN_ROWS).flat().length);
  const calls = [...rows, ...oddIntegersOnGrpc()];

  const answers = await ask(portOf(stage.server.grpcManagement), calls);
  assert.equal(answers.length, calls.length);
  const differing = calls.flatMap(({ row, code, says }, at) => {
    const [answered, details] = answers[at]!;
    const isRight = answered === code && (says === undefined || says.test(details));
    return isRight ? [] : [`${row}: ${answered} instead of ${code}: ${details}`];
  });
  assert.deepEqual(differing, []);
}

describe('the management rows of the reference’s own collection over gRPC', () => {
  behaviour(
    '13.1',
    'same',
    'the management rows over gRPC with grpc-js: the code of every row, texts in the place of integers and integers at their limits included',
    () => rowsHold(askWithGrpcJs),
  );

  behaviour('13.1', 'same', 'the same rows over gRPC with Python’s grpcio', () => rowsHold(askWithPython));
});
