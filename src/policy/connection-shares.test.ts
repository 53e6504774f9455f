import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ConnectionShares } from './connection-shares.ts';

const always = (): boolean => true;
const none = (): void => assert.fail('evicted');

test('a full listener makes room for a newcomer at the cost of whoever holds the most, oldest idle first', () => {
  const shares = new ConnectionShares<string>(4, Infinity);
  for (const name of ['a1', 'a2', 'a3']) assert.ok(shares.enter(name, '10.0.0.1', always, none));
  assert.ok(shares.enter('b1', '10.0.0.2', always, none));
  const evicted: string[] = [];
  const isIdle = (name: string): boolean => name !== 'a1';
  assert.ok(shares.enter('c1', '10.0.0.3', isIdle, (name) => evicted.push(name)));
  assert.deepEqual(evicted, ['a2']);
  assert.equal(shares.size, 4);
});

test('nobody makes room for who holds as much, and nobody who is busy goes', () => {
  const shares = new ConnectionShares<string>(2, Infinity);
  shares.enter('a1', '10.0.0.1', always, none);
  shares.enter('b1', '10.0.0.2', always, none);
  assert.equal(shares.enter('c1', '10.0.0.3', always, none), false);
  const crowd = new ConnectionShares<string>(2, Infinity);
  crowd.enter('a1', '10.0.0.1', always, none);
  crowd.enter('a2', '10.0.0.1', always, none);
  assert.equal(
    crowd.enter('b1', '10.0.0.2', () => false, none),
    false,
  );
});

test('clients behind one address make room for each other, idle ones first, wherever they stand', () => {
  const shares = new ConnectionShares<number>(200, Infinity);
  for (let at = 0; at < 200; at += 1) shares.enter(at, '10.0.0.1', always, none);
  const evicted: number[] = [];
  const isIdle = (at: number): boolean => at === 150;
  // The first are busy for long; each newcomer looks at some of the others.
  for (let at = 200; at < 203; at += 1) shares.enter(at, '10.0.0.1', isIdle, (gone) => evicted.push(gone));
  assert.deepEqual(evicted, [150]);
  assert.equal(shares.size, 200);
});

test('a network of 64 bits is one source, and unix sockets are not counted against a cap of sources', () => {
  const shares = new ConnectionShares<number>(100, 2);
  assert.ok(shares.enter(1, '2001:db8::1', always, none));
  assert.ok(shares.enter(2, '2001:db8::2', always, none));
  assert.equal(shares.enter(3, '2001:db8::3', always, none), false);
  for (let at = 10; at < 20; at += 1) assert.ok(shares.enter(at, undefined, always, none));
});

test('whatever comes and goes, no more are held than may be, and those that left are forgotten', () => {
  const step = fc.record({ source: fc.integer({ min: 0, max: 3 }), leaves: fc.integer({ min: 0, max: 50 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const shares = new ConnectionShares<number>(5, Infinity);
      const held = new Set<number>();
      for (const [at, { source, leaves }] of steps.entries()) {
        if (shares.enter(at, `10.0.0.${source}`, always, (gone) => held.delete(gone))) held.add(at);
        if (held.delete(leaves)) shares.leave(leaves);
        assert.equal(shares.size, held.size);
        assert.ok(shares.size <= 5);
      }
    }),
  );
});
