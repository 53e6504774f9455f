// gRPC over TLS with the server's PEM material (surface spec 5.1).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { credentials } from '@grpc/grpc-js';
import { InferenceAPIsService } from '../../src/grpc/gen/inference_pb.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { echoScript, openStage } from '../support/grpc-fakes.ts';

const { predictions } = InferenceAPIsService.method;
const pem = (name: string): Buffer => readFileSync(join(import.meta.dirname, '..', 'fixtures', 'tls', name));

test('a client that trusts the certificate is served, one that speaks plain text is not', async (t) => {
  const tls = { options: { key: pem('ec.key'), cert: pem('ec.crt') } };
  const stage = await openStage(echoScript, { tls });
  // The fixture's name is not ours: identity is not what this test is about.
  const trusting = credentials.createSsl(pem('ec.crt'), null, null, { checkServerIdentity: () => undefined });
  const secure = new GrpcClient(stage.inferencePort, trusting);
  const plain = new GrpcClient(stage.inferencePort);
  t.after(() => {
    for (const client of [secure, plain]) client[Symbol.dispose]();
    return stage.close(0);
  });
  const request = create(predictions.input, { modelName: 'm', input: { data: Buffer.from('sealed') } });
  const answer = await secure.unary(predictions, request, { key: 'infer' });
  assert.equal(Buffer.from(answer.prediction).toString(), 'sealed');
  await assert.rejects(plain.unary(predictions, request, { key: 'infer' }), { code: 14 });
});
