import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault, type Clock, type FaultCode } from '../kernel/index.ts';
import { parseBearer } from './bearer.ts';
import { FailureLimiter, sourceOf } from './failure-limiter.ts';
import { createGate, createOpenGate, type Gate } from './gate.ts';
import { Keyring } from './keyring.ts';
import { OPEN, parseScope, permits, scoped, type Permission } from './permission.ts';

describe('a scope', () => {
  const principal = { id: 'k', scopes: ['infer:model-a', 'infer:team-*', 'read:*'].map(parseScope) };

  test('permits its verb on the models its pattern covers, and nothing else', () => {
    assert.ok(permits(principal, scoped('infer', 'model-a')));
    assert.ok(permits(principal, scoped('infer', 'team-x')));
    assert.ok(permits(principal, scoped('infer')));
    assert.ok(permits(principal, scoped('read', '*')));
    assert.ok(!permits(principal, scoped('infer', 'model-ab')));
    assert.ok(!permits(principal, scoped('infer', '*')));
    assert.ok(!permits(principal, scoped('manage', 'model-a')));
    assert.ok(!permits({ id: 'none', scopes: [] }, scoped('infer')));
    assert.ok(permits({ id: 'none', scopes: [] }, OPEN));
  });

  test('that cannot be read is refused', () => {
    for (const text of ['', 'infer', 'infer:', ':a', 'fly:a', 'infer:*a', 'infer:a*b', 'infer:**']) {
      assert.throws(() => parseScope(text), hasCode('invalid_configuration'), text);
    }
  });
});

describe('the Authorization header', () => {
  test('follows the grammar of the reference for every text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `Bearer ${text}`),
          fc.string({ unit: fc.constantFrom('B', 'e', 'a', 'r', ' ', '\t', '\n', 'x', ',') }),
        ),
        (text) => assert.equal(parseBearer(text), /^Bearer[ \t\n\v\f\r]+([^ \t\n\v\f\r]+)$/.exec(text)?.[1]),
      ),
    );
  });

  test('of a hundred thousand blanks is refused without a scan', () => {
    assert.equal(parseBearer(`Bearer${' '.repeat(100_000)}x`), undefined);
  });
});

describe('the gate', () => {
  test('lets each key do what its scopes say and keeps the others out', () => {
    const { gate } = setUp();
    assert.equal(gate.admit('Bearer good', '10.0.0.1', scoped('infer', 'm')).id, 'inference');
    assert.equal(codeOf(gate, 'Bearer good', scoped('manage', 'm')), 'forbidden');
    assert.equal(codeOf(gate, 'Bearer bad', scoped('infer', 'm')), 'unauthenticated');
    assert.equal(codeOf(gate, 'bearer good', scoped('infer', 'm')), 'unauthenticated');
    assert.equal(codeOf(gate, undefined, scoped('infer', 'm')), 'unauthenticated');
    assert.equal(gate.admit(undefined, '10.0.0.1', OPEN).id, 'anonymous');
  });

  test('treats a key as wrong from the instant it expires', () => {
    const { gate, clock } = setUp();
    clock.wall = 999;
    gate.admit('Bearer good', '10.0.0.1', scoped('infer'));
    clock.wall = 1000;
    assert.equal(codeOf(gate, 'Bearer good', scoped('infer')), 'unauthenticated');
  });

  test('does not bring an expired key to life again when the clock is set back', () => {
    const { gate, clock } = setUp();
    clock.wall = 1000;
    assert.equal(codeOf(gate, 'Bearer good', scoped('infer')), 'unauthenticated');
    clock.wall = 999;
    assert.equal(codeOf(gate, 'Bearer good', scoped('infer')), 'unauthenticated');
  });

  test('gives a key no more time when the clock is set back before anybody used it', () => {
    const { gate, clock } = setUp();
    clock.mono = 900;
    clock.wall = -100;
    gate.admit('Bearer good', '10.0.0.1', scoped('infer'));
    clock.mono = 1000;
    clock.wall = 0;
    assert.equal(codeOf(gate, 'Bearer good', scoped('infer')), 'unauthenticated');
  });

  test('forgets a key when its slot is filled again', () => {
    const { gate, keyring } = setUp();
    keyring.put('inference', 'newer', { id: 'inference', scopes: [parseScope('infer:*')] }, Infinity);
    assert.equal(codeOf(gate, 'Bearer good', scoped('infer')), 'unauthenticated');
    assert.equal(gate.admit('Bearer newer', '10.0.0.1', scoped('infer')).id, 'inference');
  });

  test('answers too_many_failures after the burst, only to wrong keys and only to that source', () => {
    const { gate, clock } = setUp();
    for (let n = 0; n < 5; n += 1) assert.equal(codeOf(gate, 'Bearer bad', scoped('infer')), 'unauthenticated');
    assert.equal(codeOf(gate, 'Bearer bad', scoped('infer')), 'too_many_failures');
    assert.equal(codeOf(gate, undefined, scoped('infer')), 'unauthenticated');
    assert.equal(gate.admit('Bearer good', '10.0.0.1', scoped('infer')).id, 'inference');
    assert.equal(codeOf(gate, 'Bearer bad', scoped('infer'), '10.0.0.2'), 'unauthenticated');
    clock.mono += 2000;
    assert.equal(codeOf(gate, 'Bearer bad', scoped('infer')), 'unauthenticated');
    assert.equal(codeOf(gate, 'Bearer bad', scoped('infer')), 'too_many_failures');
  });

  test('that is switched off admits everyone and says so', () => {
    assert.equal(createOpenGate().isEnforcing, false);
    assert.equal(createOpenGate().admit(undefined, 'x', scoped('manage', '*')).id, 'anonymous');
  });
});

describe('the failure limiter', () => {
  test('remembers a bounded number of sources', () => {
    const limiter = new FailureLimiter(fakeClock(), { burst: 1, refillSec: 1, maxSources: 100 });
    for (let n = 0; n < 5000; n += 1) limiter.record(`10.0.${n >> 8}.${n & 255}`);
    assert.equal(limiter.size, 100);
    const crowd = new FailureLimiter(fakeClock());
    for (let n = 0; n < 20_000; n += 1)
      crowd.record(`2001:db8:${(n >> 16).toString(16)}:${(n & 0xffff).toString(16)}::1`);
    assert.equal(crowd.size, 10_000);
  });

  test('takes an IPv6 network of 64 bits as one source, and a mapped address as IPv4', () => {
    assert.equal(sourceOf('2001:DB8:0:1:aaaa::1'), sourceOf('2001:db8::1:ffff:0:0:2'));
    assert.notEqual(sourceOf('2001:db8:0:1::1'), sourceOf('2001:db8:0:2::1'));
    assert.equal(sourceOf('::ffff:10.1.2.3'), '10.1.2.3');
    assert.equal(sourceOf('::1'), '0:0:0:0::/64');
    assert.equal(sourceOf('fe80::1%eth0'), 'fe80:0:0:0::/64');
  });
});

function setUp() {
  const clock = fakeClock();
  const keyring = new Keyring(clock);
  keyring.put('inference', 'good', { id: 'inference', scopes: [parseScope('infer:*')] }, 1000);
  const limiter = new FailureLimiter(clock, { burst: 5, refillSec: 2, maxSources: 10 });
  return { clock, keyring, gate: createGate(keyring, limiter) };
}

function fakeClock() {
  const clock = {
    mono: 0,
    wall: 0,
    now: () => clock.mono,
    wallTime: () => clock.wall,
    after: () => ({ cancel: () => undefined }),
  };
  return clock satisfies Clock;
}

function codeOf(gate: Gate, header: string | undefined, permission: Permission, remote = '10.0.0.1'): FaultCode {
  try {
    gate.admit(header, remote, permission);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown.code;
    throw thrown;
  }
  return assert.fail('admitted');
}

function hasCode(code: FaultCode) {
  return (thrown: unknown) => thrown instanceof Fault && thrown.code === code;
}
