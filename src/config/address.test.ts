import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { isExposedInClear, isLoopbackHost, isSameListener, parseAddress } from './address.ts';

describe('parseAddress', () => {
  test('reads http, https and unix addresses in any case', () => {
    assert.deepEqual(parseAddress('HTTP://Host:81', 'inference'), {
      kind: 'tcp',
      scheme: 'http',
      host: 'Host',
      port: 81,
      text: 'HTTP://Host:81',
    });
    assert.deepEqual(parseAddress('unix:/run/a.sock', 'metrics'), {
      kind: 'unix',
      path: '/run/a.sock',
      text: 'unix:/run/a.sock',
    });
  });

  test('an address without a port takes the one of its plane and scheme', () => {
    const port = (text: string, plane: 'inference' | 'management' | 'metrics'): unknown => {
      const address = parseAddress(text, plane);
      return address.kind === 'tcp' && address.port;
    };
    assert.deepEqual([port('http://h', 'inference'), port('https://h', 'inference')], [80, 443]);
    assert.deepEqual([port('http://h', 'management'), port('https://h', 'management')], [8081, 8444]);
    assert.deepEqual([port('http://h', 'metrics'), port('https://h', 'metrics')], [8082, 8445]);
  });

  test('refuses what TorchServe refuses, in its words', () => {
    for (const text of [
      'http://h:1/',
      'http://h/x',
      'http://[::1]:80',
      'h:80',
      '',
      'unix:a',
      'http://h:',
      ' http://h',
    ]) {
      assert.throws(() => parseAddress(text, 'inference'), { message: `Invalid binding address: ${text}` });
    }
    for (const text of ['http://h:65535', 'http://h:99999999999999999999999']) {
      assert.throws(() => parseAddress(text, 'inference'), { message: `Invalid port number: ${text}` });
    }
  });

  test('any text is an address or a configuration fault', () => {
    const unit = fc.constantFrom('http', 's', ':', '/', '^', '1', '65534', 'h', '.', 'unix', '\n');
    fc.assert(
      fc.property(fc.string({ unit }), (text) => {
        try {
          const address = parseAddress(text, 'inference');
          assert.equal(address.text, text);
          if (address.kind === 'tcp') assert.ok(address.port >= 0 && address.port < 65_535 && address.host !== '');
          else assert.ok(address.path.startsWith('/'));
        } catch (error) {
          assert.ok(error instanceof Fault && error.code === 'invalid_configuration');
        }
      }),
      { numRuns: 500 },
    );
  });
});

test('two addresses are one listener when all but the scheme is equal', () => {
  const same = (a: string, b: string): boolean =>
    isSameListener(parseAddress(a, 'inference'), parseAddress(b, 'management'));
  assert.ok(same('http://h:1', 'https://h:1'));
  assert.ok(same('unix:/a', 'unix:/a'));
  assert.ok(!same('http://h:1', 'http://i:1'));
  assert.ok(!same('http://h:0', 'http://h:0'));
  assert.ok(!same('unix:/a', 'http://a:1'));
});

test('only localhost and 127/8 count as loopback', () => {
  for (const host of ['localhost', 'LOCALHOST', '127.0.0.1', '127.9.9.9']) assert.ok(isLoopbackHost(host));
  for (const host of ['0.0.0.0', '127.0.0.1.evil.org', 'localhost.evil.org', '10.0.0.1', '127.1']) {
    assert.ok(!isLoopbackHost(host), host);
  }
});

test('clear text beyond loopback is exposure; TLS and unix sockets are not', () => {
  const exposed = (text: string): boolean => isExposedInClear(parseAddress(text, 'inference'));
  assert.ok(exposed('http://0.0.0.0:8080'));
  assert.ok(!exposed('https://0.0.0.0:8080'));
  assert.ok(!exposed('http://127.0.0.1:8080'));
  assert.ok(!exposed('unix:/a'));
});
