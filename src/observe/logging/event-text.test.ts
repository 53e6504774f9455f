import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault, Secret } from '../../kernel/index.ts';
import type { AccessEvent } from '../../serving/index.ts';
import { accessText, noticeText } from './event-text.ts';

const exchange: AccessEvent = {
  listener: 'inference',
  remote: '127.0.0.1:53514',
  method: 'POST',
  target: '/predictions/mnist?a=1',
  protocol: 'HTTP/1.1',
  status: 200,
  durationMs: 12.7,
  requestId: undefined,
};

test('an HTTP exchange reads as in TorchServe', () => {
  assert.equal(accessText(exchange), '/127.0.0.1:53514 "POST /predictions/mnist?a=1 HTTP/1.1" 200 12');
});

test('a unix socket peer has no slash', () => {
  assert.equal(
    accessText({ ...exchange, remote: '127.0.0.1' }),
    '127.0.0.1 "POST /predictions/mnist?a=1 HTTP/1.1" 200 12',
  );
});

test('a gRPC call shows its service, method and gRPC status', () => {
  const call = {
    ...exchange,
    listener: 'grpc-inference',
    method: 'gRPC',
    target: 'org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions',
    protocol: 'HTTP/2.0',
    status: 13,
  } as const;
  assert.equal(
    accessText(call),
    '/127.0.0.1:53514 "gRPC org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions HTTP/2.0" 13 12',
  );
});

test('a path can neither forge a line nor the fields behind it, nor leak a signature', () => {
  const text = accessText({ ...exchange, target: '/a" 200 0\r\nforged?X-Amz-Signature=abc' });
  assert.equal(text, '/127.0.0.1:53514 "POST /a%22 200 0\\r\\nforged?X-Amz-Signature=[redacted] HTTP/1.1" 200 12');
});

test('a notice shows its cause with the causes below it, and never a secret', () => {
  const cause = new Fault('internal', 'broken', { cause: 'disk' });
  const text = noticeText({ level: 'error', message: 'Could not start', detail: { key: new Secret('hidden') }, cause });
  assert.equal(text, "Could not start { key: [secret] } cause: internal: broken <- 'disk'");
});
