// Requests without end on one connection, and bodies in crumbs: what a client may leave lying in the server's memory.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { MAX_AHEAD } from '../../src/http/pipeline.ts';
import { KEYS, openDoor, RawClient, reply } from '../support/http-doors.ts';

const PING = 'GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n';
const POST = `POST /predictions/m HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEYS.inference}\r\nContent-Length: 0\r\n\r\n`;
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

  test('and waits for a slow model with others behind it is no slow reader', async () => {
    await using door = await openDoor('inference', { options: { writeTimeoutMs: 200 } });
    door.plane.answer = () => undefined;
    using client = new RawClient(door.port);
    client.write(POST + PING + POST);
    await waitFor(() => door.plane.outlets.length === 2);
    // Long enough for whoever would take the client for one that does not read.
    await pause(500);
    door.plane.outlets[0]?.send(reply('a'.repeat(5_000_000)), true);
    await waitFor(() => client.text.length > 5_000_000);
    await pause(500);
    door.plane.outlets[1]?.send(reply('the last'), true);
    await client.until(/the last/);
    assert.equal(answersIn(client.text), 3);
  });

  test('and sends no HTTP behind a request that is being answered gets that answer, whatever else it sends', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = () => undefined;
    using client = new RawClient(door.port);
    client.write(POST);
    await waitFor(() => door.plane.outlets.length === 1);
    const warnings: Error[] = [];
    const note = (warning: Error): void => void warnings.push(warning);
    process.on('warning', note);
    for (let at = 0; at < 30; at += 1) {
      client.write('\0no HTTP\r\n\r\n');
      await pause(2);
    }
    door.plane.outlets[0]?.send(reply('the answer'), true);
    await client.closed;
    process.off('warning', note);
    assert.match(client.text, /the answer$/);
    assert.equal(answersIn(client.text), 1);
    assert.deepEqual(warnings, []);
  });
});

async function waitFor(isTrue: () => boolean): Promise<void> {
  for (let tries = 0; !isTrue() && tries < 500; tries += 1) await pause(10);
  assert.ok(isTrue());
}
