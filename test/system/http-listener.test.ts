// Listeners on real sockets: unix files, TLS material, and how a server stops listening.
import assert from 'node:assert/strict';
import { chmod, copyFile, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { get, type RequestOptions } from 'node:https';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { readFileSync } from 'node:fs';
import type { TLSSocket } from 'node:tls';
import { loadTls, type TlsRequest, type TlsSource } from '../../src/http/index.ts';
import { Fault, Secret, systemClock } from '../../src/kernel/index.ts';
import { Announcements } from '../../src/serving/index.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { KEYS, RawClient, exchangeRaw, openDoor, reply } from '../support/http-doors.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'tls');
const REQUEST = `GET /predictions/m HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEYS.inference}\r\n`;

let dir = '';
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'davy-http-'));
  for (const name of [
    'rsa-pkcs1.key',
    'rsa-pkcs8.key',
    'rsa.crt',
    'ec.key',
    'ec.crt',
    'store.p12',
    'store.jks',
    'trusted-only.jks',
    'ca.crt',
  ]) {
    await copyFile(join(FIXTURES, name), join(dir, name));
    await chmod(join(dir, name), 0o600);
  }
});
after(() => rm(dir, { recursive: true, force: true }));

describe('a unix socket', () => {
  test('serves its owner and group, and takes over the file of a former run', async () => {
    const path = join(dir, 'a.sock');
    for (let run = 0; run < 2; run += 1) {
      await using door = await openDoor('inference', { listen: { address: { kind: 'unix', path } } });
      assert.deepEqual(door.listener.address, { kind: 'unix', path });
      assert.equal((await stat(path)).mode & 0o777, 0o660);
      assert.equal(await statusOver(path), 200);
      assert.equal(door.access[0]?.remote, '127.0.0.1');
      // What a killed server leaves behind.
      if (run === 0) await leaveSocketBehind(path);
    }
  });

  test('never removes what is not a socket, nor follows a link', async () => {
    const file = join(dir, 'precious');
    await writeFile(file, 'x');
    const link = join(dir, 'link.sock');
    await symlink(file, link);
    for (const path of [file, link, dir]) {
      await assert.rejects(
        openDoor('inference', { listen: { address: { kind: 'unix', path } } }),
        isConfigurationFault,
      );
    }
    assert.equal(readFileSync(file, 'utf8'), 'x');
  });
});

describe('a listener', () => {
  test('that cannot bind says which address', async () => {
    await using first = await openDoor('inference');
    const address = { kind: 'tcp', host: '127.0.0.1', port: first.port } as const;
    await assert.rejects(openDoor('inference', { listen: { address } }), (thrown) => {
      assert.ok(isConfigurationFault(thrown));
      assert.match((thrown as Fault).message, new RegExp(`^Failed to bind to address: 127.0.0.1:${first.port}`));
      return true;
    });
  });

  test('stops by answering what is in flight and closing what is idle', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = () => undefined;
    using idle = new RawClient(door.port);
    using busy = new RawClient(door.port);
    idle.write(`GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await idle.until(/Healthy/);
    busy.write(`${REQUEST}\r\n`);
    while (door.plane.outlets.length === 0) await pause(2);
    const closed = door.listener.close(5000);
    await idle.closed;
    door.plane.outlets[0]?.send(reply('answered'), true);
    await Promise.all([closed, busy.closed]);
    assert.match(busy.text, /connection: close[^]*answered$/);
    await assert.rejects(fetch(`http://127.0.0.1:${door.port}/ping`));
  });

  test('cuts what is not answered by the end of the grace time', async () => {
    await using door = await openDoor('inference');
    door.plane.answer = () => undefined;
    using client = new RawClient(door.port);
    client.write(`${REQUEST}\r\n`);
    while (door.plane.outlets.length === 0) await pause(2);
    await door.listener.close(30);
    await client.closed;
    assert.equal(client.text, '');
    for (let n = 0; n < 100 && door.plane.cancelled === 0; n += 1) await pause(2);
    assert.equal(door.plane.cancelled, 1);
  });
});

describe('TLS', () => {
  test('serves from PEM keys of every kind and from both keystores', async () => {
    for (const source of [
      pem('rsa-pkcs1.key', 'rsa.crt'),
      pem('rsa-pkcs8.key', 'rsa.crt'),
      pem('ec.key', 'ec.crt'),
      store('store.p12', 'pkcs12'),
      store('store.jks', 'JKS'),
    ]) {
      const tls = await loadTls(requestFor(source));
      await using door = await openDoor('inference', { listen: { tls } });
      const { status, protocol } = await secureStatus(door.port);
      assert.deepEqual([status, protocol], [200, 'TLSv1.3'], JSON.stringify(source));
      assert.equal((await secureStatus(door.port, { maxVersion: 'TLSv1.2' })).protocol, 'TLSv1.2');
    }
  });

  test('refuses old protocols and weak ciphers', async () => {
    const tls = await loadTls(requestFor(pem('rsa-pkcs8.key', 'rsa.crt')));
    await using door = await openDoor('inference', { listen: { tls } });
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;
    await assert.rejects(secureStatus(door.port, old));
    await assert.rejects(secureStatus(door.port, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-SHA' }));
  });

  test('answers plain HTTP with 403, and other noise not at all', async () => {
    const tls = await loadTls(requestFor(pem('ec.key', 'ec.crt')));
    await using door = await openDoor('inference', { listen: { tls } });
    const answer = await exchangeRaw(door.port, `${REQUEST}\r\n`);
    assert.match(answer, /^HTTP\/1\.1 403 Forbidden\r\n/);
    assert.ok(answer.endsWith('\r\n\r\n{\n  "status": "This TorchServe instance only accepts HTTPS requests"\n}\n'));
    assert.doesNotMatch(await exchangeRaw(door.port, '\0'.repeat(100)), /HTTP/);
    assert.equal((await secureStatus(door.port)).status, 200);
  });

  test('asks for client certificates when told to', async () => {
    const tls = await loadTls({ ...requestFor(pem('ec.key', 'ec.crt')), clientAuthorityFile: join(dir, 'ca.crt') });
    await using door = await openDoor('inference', { listen: { tls } });
    await assert.rejects(secureStatus(door.port));
    const own = { cert: readFileSync(join(FIXTURES, 'client.crt')), key: readFileSync(join(FIXTURES, 'client.key')) };
    assert.equal((await secureStatus(door.port, own)).status, 200);
  });

  test('is a start-up error that names file and fix when the material cannot be used', async () => {
    await copyFile(join(dir, 'ec.key'), join(dir, 'open.key'));
    await chmod(join(dir, 'open.key'), 0o644);
    await writeFile(join(dir, 'junk'), 'junk', { mode: 0o600 });
    const late = new ManualClock();
    late.advance(Date.parse('2200-01-01'));
    const cases: [TlsRequest, RegExp][] = [
      [requestFor(pem('absent.key', 'ec.crt')), /absent\.key.*ENOENT/],
      [requestFor(pem('open.key', 'ec.crt')), /open\.key.*chmod 600/],
      [requestFor(pem('rsa-pkcs8.key', 'ec.crt')), /does not belong to the key/],
      [requestFor(pem('junk', 'ec.crt')), /not an unencrypted PEM private key/],
      [requestFor(pem('ec.key', 'junk')), /does not begin with a PEM certificate/],
      [requestFor(store('store.p12', 'PKCS12', 'wrong')), /check keystore_pass/],
      [requestFor(store('store.jks', 'JKS', 'wrong')), /keystore_pass is wrong/],
      [requestFor(store('junk', 'JKS')), /not a JKS keystore/],
      [requestFor(store('trusted-only.jks', 'JKS')), /No key entry found in keystore/],
      [requestFor(store('store.jks', 'BKS')), /use PKCS12 or JKS/],
      [{ ...requestFor(pem('ec.key', 'ec.crt')), clock: late }, /expired on .*renew it/],
      [{ ...requestFor(pem('ec.key', 'ec.crt')), clock: new ManualClock() }, /only valid from/],
    ];
    for (const [request, pattern] of cases) {
      await assert.rejects(loadTls(request), (thrown) => {
        assert.ok(isConfigurationFault(thrown), String(thrown));
        assert.match((thrown as Fault).message, pattern);
        return true;
      });
    }
  });

  test('takes up renewed files without a restart, and keeps the old ones when the new are broken', async () => {
    const key = join(dir, 'live.key');
    const certificate = join(dir, 'live.crt');
    const install = async (from: string): Promise<void> => {
      await copyFile(join(dir, `${from}.crt`), certificate);
      await copyFile(join(dir, from === 'ec' ? 'ec.key' : 'rsa-pkcs8.key'), key);
    };
    await install('ec');
    // Fires the reload's timers by hand; everything else runs on the real clock.
    const timers: (() => void)[] = [];
    const clock = {
      ...systemClock,
      after: (_ms: number, callback: () => void) => (timers.push(callback), { cancel() {} }),
    };
    const announcements = new Announcements();
    const levels: string[] = [];
    announcements.notice.subscribe(({ level }) => levels.push(level));
    const tls = await loadTls({
      source: { kind: 'pem', privateKeyFile: key, certificateFile: certificate },
      clock,
      announcements,
    });
    await using door = await openDoor('inference', { listen: { tls } });
    const tick = async (): Promise<void> => {
      while (timers.length === 0) await pause(2);
      timers.shift()?.();
      while (timers.length === 0) await pause(2);
    };
    assert.equal((await secureStatus(door.port)).keyType, 'ec');
    await install('rsa');
    await tick();
    assert.equal((await secureStatus(door.port)).keyType, 'rsa');
    await writeFile(certificate, 'broken');
    await tick();
    assert.equal((await secureStatus(door.port)).keyType, 'rsa');
    assert.deepEqual(levels, ['info', 'error']);
  });
});

const pem = (key: string, certificate: string): TlsSource => ({
  kind: 'pem',
  privateKeyFile: join(dir, key),
  certificateFile: join(dir, certificate),
});

const store = (name: string, type: string, password = 'changeit'): TlsSource => ({
  kind: 'keystore',
  path: join(dir, name),
  type,
  password: new Secret(password),
});

const requestFor = (source: TlsSource): TlsRequest => ({
  source,
  clock: systemClock,
  announcements: new Announcements(),
});

function secureStatus(
  port: number,
  options: RequestOptions = {},
): Promise<{ status: number; protocol: string; keyType: string }> {
  return new Promise((resolve, reject) => {
    const call = get(
      { host: '127.0.0.1', port, path: '/ping', rejectUnauthorized: false, agent: false, ...options },
      (response) => {
        const socket = response.socket as TLSSocket;
        const { protocol, keyType } = {
          protocol: socket.getProtocol() ?? '',
          keyType: socket.getPeerX509Certificate()?.publicKey.asymmetricKeyType ?? '',
        };
        response.resume();
        response.on('end', () => resolve({ status: response.statusCode ?? 0, protocol, keyType }));
      },
    );
    call.on('error', reject);
  });
}

function statusOver(socketPath: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path: '/ping', agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    })
      .on('error', reject)
      .end();
  });
}

/** A socket file nobody listens on: renamed away while open, so that closing does not remove it. */
async function leaveSocketBehind(path: string): Promise<void> {
  const { rename } = await import('node:fs/promises');
  const other = `${path}.other`;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(other, resolve));
  await rename(other, `${path}.kept`);
  await new Promise((resolve) => server.close(resolve));
  await rename(`${path}.kept`, path);
}

function isConfigurationFault(thrown: unknown): boolean {
  return thrown instanceof Fault && thrown.code === 'invalid_configuration';
}
