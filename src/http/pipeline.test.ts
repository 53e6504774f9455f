import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import type { Exchange } from './exchange.ts';
import { AheadCount, MAX_AHEAD, MAX_AHEAD_TOGETHER, MAX_DROPPED, Pipeline } from './pipeline.ts';

class FakeSocket extends EventEmitter {
  isDestroyed = false;
  destroy(): void {
    this.isDestroyed = true;
  }
}

function pipelineOn(together = new AheadCount()) {
  const socket = new FakeSocket();
  return { socket, pipeline: new Pipeline(socket as unknown as Socket, together) };
}

test('a client that waits for its answers never comes near a bound', () => {
  const { pipeline, socket } = pipelineOn();
  for (let at = 0; at < MAX_AHEAD_TOGETHER * 2; at += 1) {
    assert.equal(pipeline.enter(), 'accepted');
    pipeline.leave();
  }
  assert.equal(socket.isDestroyed, false);
});

test('a client too far ahead gets the answers it is owed and no more', () => {
  const { pipeline, socket } = pipelineOn();
  for (let at = 0; at < MAX_AHEAD; at += 1) assert.equal(pipeline.enter(), 'accepted');
  assert.equal(pipeline.enter(), 'last');
  for (let at = 0; at < MAX_DROPPED; at += 1) assert.equal(pipeline.enter(), 'dropped');
  assert.equal(socket.isDestroyed, false);
  assert.equal(pipeline.enter(), 'dropped');
  assert.equal(socket.isDestroyed, true);
});

test('nothing runs behind an answer that closes the connection', () => {
  const { pipeline } = pipelineOn();
  assert.equal(pipeline.enter(), 'accepted');
  pipeline.latest = { isLastOnConnection: true } as Exchange;
  assert.equal(pipeline.enter(), 'dropped');
});

test('many that run ahead share one bound, which whoever waits is no part of, and which they leave when they close', () => {
  const together = new AheadCount();
  const crowd = Array.from({ length: MAX_AHEAD_TOGETHER / MAX_AHEAD }, () => pipelineOn(together));
  for (const { pipeline } of crowd) for (let at = 0; at <= MAX_AHEAD; at += 1) pipeline.enter();
  assert.ok(crowd.every(({ socket }) => !socket.isDestroyed));
  const patient = pipelineOn(together);
  assert.equal(patient.pipeline.enter(), 'accepted');
  assert.equal(patient.socket.isDestroyed, false);
  const [first] = crowd;
  first?.pipeline.enter();
  assert.equal(first?.socket.isDestroyed, true);
  first.socket.emit('close');
  for (let at = 0; at <= MAX_AHEAD; at += 1) first.pipeline.leave();
  assert.equal(patient.pipeline.enter(), 'accepted');
  assert.equal(patient.socket.isDestroyed, false);
});
