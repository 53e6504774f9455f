// Requests without end on one connection, and bodies in crumbs: what a client may leave lying in the server's memory.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAX_AHEAD } from '../../src/http/pipeline.ts';
import { openDoor, RawClient } from '../support/http-doors.ts';

const PING = 'GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n';
const answersIn = (text: string): number => text.split('HTTP/1.1 200 ').length - 1;

describe('a client that runs ahead of its answers', () => {
  test('gets every answer as long as it keeps within the bound', async () => {
    await using door = await openDoor('inference');
    using client = new RawClient(door.port);
    client.write(PING.repeat(MAX_AHEAD));
    client.write(PING.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    await client.closed;
    assert.equal(answersIn(client.text), MAX_AHEAD + 1);
  });

  test('and goes too far is answered up to the bound, told that the connection ends there, and let go', async () => {
    await using door = await openDoor('inference');
    using client = new RawClient(door.port);
    client.write(PING.repeat(MAX_AHEAD * 3));
    await client.closed;
    assert.equal(answersIn(client.text), MAX_AHEAD + 1);
    assert.match(client.text.slice(client.text.lastIndexOf('HTTP/1.1')), /connection: close/);
    assert.equal(door.access.length, MAX_AHEAD + 1);
  });

  test('and never stops is cut, whether it reads or not, and others do not notice', async () => {
    await using door = await openDoor('inference');
    using reader = new RawClient(door.port);
    using sleeper = new RawClient(door.port);
    sleeper.socket.pause();
    for (const flood of [reader, sleeper]) flood.write(PING.repeat(20_000));
    using neighbour = new RawClient(door.port);
    neighbour.write(PING);
    await neighbour.until(/Healthy/);
    await Promise.all([reader.closed, sleeper.closed]);
    assert.ok(door.access.length < 1000, `${door.access.length} requests were run`);
  });
});
