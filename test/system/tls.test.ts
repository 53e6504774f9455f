// TLS as an operator would switch it on, through the real server.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { makeModelStore, type TestStore } from '../support/model-store.ts';
import { freePorts, startRealServer } from '../support/real-server.ts';

describe('an https address', () => {
  let dir: string;
  let store: TestStore;
  before(() => {
    store = makeModelStore();
    dir = mkdtempSync(join(tmpdir(), 'davy-tls-'));
    const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-nodes'];
    execFileSync('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', certificate], {
      stdio: 'ignore',
    });
    chmodSync(key, 0o600);
  });
  after(() => {
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true });
  });

  it('speaks TLS and tells clear-text clients so', async () => {
    const [port] = await freePorts(1);
    const config = [
      `inference_address=https://127.0.0.1:${port}`,
      `private_key_file=${join(dir, 'key.pem')}`,
      `certificate_file=${join(dir, 'cert.pem')}`,
    ];
    await using _server = await startRealServer({ modelStore: store.dir, config });
    const body = await new Promise<string>((resolve, reject) => {
      const ca = readFileSync(join(dir, 'cert.pem'));
      request({ host: '127.0.0.1', port, path: '/ping', ca }, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      })
        .on('error', reject)
        .end();
    });
    assert.match(body, /Healthy/);
    const plain = await fetch(`http://127.0.0.1:${port}/ping`);
    assert.equal(plain.status, 403);
    assert.match(await plain.text(), /only accepts HTTPS/);
  });

  it('lets in only clients with a certificate of the named authority, where one is named', async () => {
    const [port] = await freePorts(1);
    const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
    const config = [
      `inference_address=https://127.0.0.1:${port}`,
      `private_key_file=${key}`,
      `certificate_file=${certificate}`,
      `client_ca_file=${certificate}`,
    ];
    await using _server = await startRealServer({ modelStore: store.dir, config });
    const ask = (client: { key?: Buffer; cert?: Buffer }): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        request({ host: '127.0.0.1', port, path: '/ping', ca: readFileSync(certificate), ...client }, (response) => {
          response.resume();
          resolve(response.statusCode);
        })
          .on('error', reject)
          .end();
      });
    assert.equal(await ask({ key: readFileSync(key), cert: readFileSync(certificate) }), 200);
    await assert.rejects(ask({}));
  });

  it('does not start without a certificate, and says what to set', async () => {
    const [port] = await freePorts(1);
    await assert.rejects(
      startRealServer({ modelStore: store.dir, config: [`inference_address=https://127.0.0.1:${port}`] }),
      /needs a certificate: set private_key_file and certificate_file/,
    );
  });
});

it('a loopback listener answers to the names that the operator allows, and to no others', async () => {
  using store = makeModelStore();
  await using server = await startRealServer({ modelStore: store.dir, config: ['allowed_hosts=models.example'] });
  const { port } = new URL(server.inference);
  const statusFor = (host: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      get({ host: '127.0.0.1', port, path: '/ping', headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).on('error', reject);
    });
  assert.equal(await statusFor('models.example'), 200);
  assert.equal(await statusFor(`Models.Example:${port}`), 200);
  assert.equal(await statusFor('evil.example'), 400);
});
