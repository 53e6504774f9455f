import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { redactText } from './redact.ts';

test('credentials in query strings are replaced and their names stay', () => {
  assert.equal(
    redactText('/models?url=https://b.s3.amazonaws.com/m.mar?X-Amz-Signature=abc123&X-Amz-Date=2024&model_name=m'),
    '/models?url=https://b.s3.amazonaws.com/m.mar?X-Amz-Signature=[redacted]&X-Amz-Date=2024&model_name=m',
  );
  assert.equal(redactText('/x?token=abc&type=inference'), '/x?token=[redacted]&type=inference');
  assert.equal(redactText('/x?sig=a%2Bb%3D&se=1'), '/x?sig=[redacted]&se=1');
});

test('credentials inside a percent-encoded url parameter are replaced too', () => {
  assert.equal(
    redactText(
      '/models?url=https%3A%2F%2Fh%2Fm.mar%3FX-Amz-Credential%3DAKIA%26X-Amz-Signature%3Ddeadbeef%26v%3D1&batch_size=2',
    ),
    '/models?url=https%3A%2F%2Fh%2Fm.mar%3FX-Amz-Credential%3D[redacted]%26X-Amz-Signature%3D[redacted]%26v%3D1&batch_size=2',
  );
});

test('a query of a model URL that is one nameless word is a token', () => {
  for (const mark of ['?', '%3F', '%253f']) {
    const line = `POST /models?url=https://h/m.mar${mark}SECRET&synchronous=true HTTP/1.1`;
    assert.equal(redactText(line), `POST /models?url=https://h/m.mar${mark}[redacted]&synchronous=true HTTP/1.1`);
    const named = `POST /models?url=https://h/m.mar${mark}v%3D1&synchronous=true HTTP/1.1`;
    assert.equal(redactText(named), named);
  }
  assert.equal(
    redactText('url=https://proxy?url=https://h/m.mar?SECRET'),
    'url=https://proxy?url=https://h/m.mar?[redacted]',
  );
  assert.equal(redactText('GET /models?limit HTTP/1.1'), 'GET /models?limit HTTP/1.1');
});

test('no line that a model or a client can write takes long', () => {
  const lines = [
    'url='.repeat(4096),
    `${'url='.repeat(512)}?${'a'.repeat(14_000)}=`,
    `://${'a'.repeat(500)}`.repeat(32),
    `bearer${' '.repeat(16_000)}"`,
    'token%253'.repeat(1800),
  ];
  const startedAt = performance.now();
  for (let times = 0; times < 100; times += 1) for (const line of lines) redactText(line);
  assert.ok(performance.now() - startedAt < 5000);
});

test('user info of a URL is replaced', () => {
  assert.equal(redactText('fetching https://bob:pw@host/m.mar'), 'fetching https://[redacted]@host/m.mar');
  assert.equal(redactText('url=https%3A%2F%2Fbob%3Apw%40host'), 'url=https%3A%2F%2F[redacted]%40host');
});

test('authorization values are replaced', () => {
  assert.equal(redactText('Authorization: Bearer gNRuA7dS x'), 'Authorization: Bearer [redacted] x');
  assert.equal(redactText(`{ authorization: 'abcdef' }`), `{ authorization: '[redacted]' }`);
});

test('words that only contain a secret name are left alone', () => {
  for (const text of ['/x?monkey=1', 'tokens=12', 'loaded https://host/m.mar', 'ratio 12:30@noon']) {
    assert.equal(redactText(text), text);
  }
});

test('no value behind a secret name survives, whatever surrounds it', () => {
  const name = fc.constantFrom('token', 'X-Amz-Signature', 'password', 'api_key', 'sig', 'access_token');
  const value = fc.stringMatching(/^SECRET[a-zA-Z0-9/+._-]{0,20}$/);
  const around = fc.stringMatching(/^[a-z0-9=&/]{0,20}$/);
  fc.assert(
    fc.property(around, name, value, around, (before, secret, text, after) => {
      assert.ok(!redactText(`/p?${before}&${secret}=${text}&${after}`).includes('SECRET'));
    }),
  );
});
