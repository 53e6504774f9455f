// TLS on every port (surface spec 6.10): which material counts, what is offered, and what happens when the files change.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { create } from '@bufbuild/protobuf';
import { credentials } from '@grpc/grpc-js';
import { InferenceAPIsService } from '../../src/grpc/gen/inference_pb.ts';
import { startCompatServer, type CompatServer } from '../support/compat-server.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import { eventually } from '../support/eventually.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { freePorts, portOf } from '../support/real-server.ts';
import { behaviour } from './behaviour.ts';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures', 'tls');
const { ping } = InferenceAPIsService.method;

interface Handshake {
  /** Subject of the certificate that the server presented. */
  readonly subject: string;
  readonly fingerprint: string;
  readonly protocol: string | null;
  readonly cipher: string;
  readonly isTrusted: boolean;
}

/** Resolves with what was agreed on; rejects when nothing was. */
async function shake(port: number, options: ConnectionOptions = {}): Promise<Handshake> {
  const socket: TLSSocket = connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    rejectUnauthorized: false,
    ...options,
  });
  try {
    await once(socket, 'secureConnect');
    const certificate = new X509Certificate(socket.getPeerCertificate().raw);
    return {
      subject: certificate.subject,
      fingerprint: certificate.fingerprint256,
      protocol: socket.getProtocol(),
      cipher: socket.getCipher().name,
      isTrusted: socket.authorized,
    };
  } finally {
    socket.destroy();
  }
}

const fingerprintOf = (path: string): string => new X509Certificate(readFileSync(path)).fingerprint256;

describe('TLS', () => {
  let store: TestStore;
  let dir = '';
  let live: Served;
  let stored: Served;
  before(() => {
    store = makeModelStore();
    store.add('noop', NOOP);
    dir = mkdtempSync(join(tmpdir(), 'davy-tls-'));
    for (const name of [
      'rsa.crt',
      'rsa-pkcs1.key',
      'rsa-pkcs8.key',
      'ec.crt',
      'ec.key',
      'store.p12',
      'store.jks',
      'trusted-only.jks',
    ]) {
      copyFileSync(join(FIXTURES, name), join(dir, name));
      chmodSync(join(dir, name), 0o600);
    }
  });
  after(async () => {
    await live?.[Symbol.asyncDispose]();
    await stored?.[Symbol.asyncDispose]();
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  interface Served extends AsyncDisposable {
    readonly server: CompatServer;
    readonly ports: readonly number[];
    readonly grpcPort: number;
  }
  const serve = async (lines: readonly string[]): Promise<Served> => {
    const ports = await freePorts(3);
    const [inference, management, metrics] = ports.map((port) => `https://127.0.0.1:${port}`);
    const addresses = [
      `inference_address=${inference}`,
      `management_address=${management}`,
      `metrics_address=${metrics}`,
    ];
    const server = await startCompatServer({ modelStore: store.dir, config: [...addresses, ...lines] });
    return {
      server,
      ports,
      grpcPort: portOf(server.grpcInference),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  };
  const pem = (certificate: string, key: string): string[] => [
    `certificate_file=${join(dir, certificate)}`,
    `private_key_file=${join(dir, key)}`,
  ];

  describe('by files', () => {
    /** As renewing tools do: readers see the old file or the new one. */
    const replace = (name: string, by: string): void => {
      copyFileSync(join(dir, by), join(dir, 'new'));
      chmodSync(join(dir, 'new'), 0o600);
      renameSync(join(dir, 'new'), join(dir, name));
    };
    before(async () => {
      const pack = ['pkcs12', '-export', '-inkey', 'ec.key', '-in', 'ec.crt', '-passout', 'pass:changeit'];
      execFileSync('openssl', [...pack, '-out', 'ec.p12'], { cwd: dir, stdio: 'pipe' });
      replace('live.key', 'rsa-pkcs8.key');
      replace('live.crt', 'rsa.crt');
      replace('live.p12', 'store.p12');
      live = await serve([...pem('live.crt', 'live.key'), 'enable_grpc_ssl=true']);
      stored = await serve([`keystore=${join(dir, 'live.p12')}`, ...pem('ec.crt', 'ec.key'), 'enable_grpc_ssl=true']);
    });
    // The servers look at their files every ten seconds: the last test sees what they made of this.
    after(() => {
      replace('live.key', 'ec.key');
      replace('live.crt', 'ec.crt');
      replace('live.p12', 'ec.p12');
    });

    behaviour(
      '6.10',
      'same',
      'an RSA key in PKCS#8 serves every REST port, and clients need no certificate',
      async () => {
        for (const port of live.ports) {
          const { fingerprint, isTrusted } = await shake(port, { ca: readFileSync(join(dir, 'rsa.crt')) });
          assert.deepEqual([fingerprint, isTrusted], [fingerprintOf(join(dir, 'rsa.crt')), true]);
        }
      },
    );

    behaviour('6.10', 'same', 'TLS 1.2 with ECDHE-RSA-AES128-GCM-SHA256 is served, and so is TLS 1.3', async () => {
      const [port] = live.ports;
      const old = await shake(port!, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' });
      assert.deepEqual([old.protocol, old.cipher], ['TLSv1.2', 'ECDHE-RSA-AES128-GCM-SHA256']);
      assert.equal((await shake(port!)).protocol, 'TLSv1.3');
    });

    behaviour('6.10', 'stricter', 'neither TLS 1.1 nor a cipher of the CBC kind is served any more', async () => {
      const [port] = live.ports;
      await assert.rejects(shake(port!, { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-SHA' }));
      await assert.rejects(
        shake(port!, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
      );
    });

    behaviour(
      '6.10',
      'same',
      'enable_grpc_ssl=true serves gRPC with the same PEM files, and nothing in clear text',
      async () => {
        using trusting = new GrpcClient(live.grpcPort, credentials.createSsl(readFileSync(join(dir, 'rsa.crt'))));
        using plain = new GrpcClient(live.grpcPort);
        assert.match((await trusting.unary(ping, create(ping.input))).health, /Healthy/);
        await assert.rejects(plain.unary(ping, create(ping.input)), { code: 14 });
      },
    );

    behaviour(
      '6.10',
      'same',
      'keystore_type and keystore_pass are PKCS12 and changeit where not given; a keystore wins over PEM files, except on gRPC',
      async () => {
        const files = fingerprintOf(join(dir, 'ec.crt'));
        assert.notEqual((await shake(stored.ports[0]!)).fingerprint, files);
        assert.equal((await shake(stored.grpcPort, { ALPNProtocols: ['h2'] })).fingerprint, files);
      },
    );
  });

  behaviour(
    '6.10',
    'same',
    'certificate_file may hold a chain: clients that know only the root are served',
    async () => {
      const at = (name: string): string => join(dir, name);
      const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
      const request = (name: string): string[] => [
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        `${name}.pem`,
      ];
      openssl('req', '-x509', ...request('root'), '-days', '2', '-out', 'root.crt');
      for (const [name, issuer, extensions] of [
        ['between', 'root', 'basicConstraints=critical,CA:TRUE'],
        ['leaf', 'between', 'subjectAltName=DNS:localhost'],
      ] as const) {
        writeFileSync(at('extensions'), extensions);
        openssl('req', ...request(name), '-out', `${name}.csr`);
        const signer = ['-CA', `${issuer}.crt`, '-CAkey', `${issuer}.pem`, '-CAcreateserial', '-days', '2'];
        openssl('x509', '-req', '-in', `${name}.csr`, ...signer, '-extfile', 'extensions', '-out', `${name}.crt`);
      }
      writeFileSync(at('chain.crt'), readFileSync(at('leaf.crt'), 'utf8') + readFileSync(at('between.crt'), 'utf8'));
      chmodSync(at('leaf.pem'), 0o600);
      await using served = await serve(pem('chain.crt', 'leaf.pem'));
      const { subject, isTrusted } = await shake(served.ports[0]!, { ca: readFileSync(at('root.crt')) });
      assert.deepEqual([subject, isTrusted], ['CN=leaf', true]);
    },
  );

  behaviour('6.10', 'same', 'a keystore serves gRPC as well where there are no PEM files', async () => {
    await using served = await serve([
      `keystore=${join(dir, 'store.jks')}`,
      'keystore_type=jks',
      'enable_grpc_ssl=true',
    ]);
    const [rest, grpc] = [await shake(served.ports[0]!), await shake(served.grpcPort, { ALPNProtocols: ['h2'] })];
    assert.equal(grpc.fingerprint, rest.fingerprint);
  });

  behaviour(
    '6.10',
    'same',
    'a keystore without a private key ends the start: No key entry found in keystore.',
    async () => {
      const lines = [`keystore=${join(dir, 'trusted-only.jks')}`, 'keystore_type=JKS'];
      await assert.rejects(serve(lines), /No key entry found in keystore/);
    },
  );

  behaviour(
    '6.10',
    'stricter',
    'material that is missing, of another key, or readable by everybody ends the start, and the message names file and fix',
    async () => {
      copyFileSync(join(dir, 'rsa-pkcs1.key'), join(dir, 'open.key'));
      chmodSync(join(dir, 'open.key'), 0o644);
      await Promise.all([
        assert.rejects(serve(pem('none.crt', 'rsa-pkcs1.key')), /none\.crt: it cannot be read \(ENOENT\)/),
        assert.rejects(serve(pem('rsa.crt', 'ec.key')), /rsa\.crt: its first certificate does not belong to the key/),
        assert.rejects(
          serve(pem('rsa.crt', 'open.key')),
          /open\.key: everybody on this machine may read it; run "chmod 600/,
        ),
        assert.rejects(
          serve([`keystore=${join(dir, 'store.p12')}`, 'keystore_pass=wrong']),
          /store\.p12: it cannot be loaded; check keystore_pass/,
        ),
      ]);
    },
  );

  behaviour(
    '6.10',
    'same',
    'PEM files and keystores that are renewed are served without a restart, on REST and on gRPC',
    async () => {
      const renewed = fingerprintOf(join(dir, 'ec.crt'));
      for (const port of [live, stored].flatMap(({ ports, grpcPort }) => [...ports, grpcPort])) {
        const isRenewed = async (): Promise<boolean> =>
          (await shake(port, { ALPNProtocols: ['h2', 'http/1.1'] })).fingerprint === renewed;
        await eventually(`port ${port} presents the new certificate`, isRenewed);
      }
      assert.match(live.server.output(), /TLS material reloaded from .*live\.crt/);
      assert.match(stored.server.output(), /TLS material reloaded from .*live\.p12/);
    },
  );
});
