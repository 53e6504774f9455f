// TLS material for a listener: PEM files or a keystore, checked before the port opens, read again when the files change.
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Server as TlsServer } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { Fault, type Clock, type Secret, type Timer } from '../kernel/index.ts';
import type { Announcements } from '../serving/index.ts';
import { readJks } from './jks.ts';

export type TlsSource =
  | { readonly kind: 'pem'; readonly privateKeyFile: string; readonly certificateFile: string }
  | {
      readonly kind: 'keystore';
      readonly path: string;
      /** As configured; any letter case. */
      readonly type: string;
      readonly password: Secret;
    };

export interface TlsRequest {
  readonly source: TlsSource;
  /** PEM file of the authorities whose certificates clients must present; undefined asks for none. */
  readonly clientAuthorityFile?: string;
  readonly clock: Clock;
  readonly announcements: Announcements;
}

export interface TlsMaterial {
  readonly options: SecureContextOptions & { readonly requestCert: boolean; readonly rejectUnauthorized: boolean };
  /** Replaces the server's material whenever the files change; what cannot be used is reported and left aside. */
  watch(server: TlsServer): Timer;
}

/** How often the files are looked at. Certificates are renewed days before they end. */
const CHECK_EVERY_MS = 10_000;

// Forward secrecy and authenticated encryption only; TLS 1.3 brings its own list of the same kind.
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

/** Throws Fault `invalid_configuration` that names the file and the fix. There is no silent self-signed certificate. */
export async function loadTls(request: TlsRequest): Promise<TlsMaterial> {
  const { source, announcements, clock } = request;
  const options = await optionsOf(request);
  return {
    options,
    watch(server) {
      let timer: Timer | undefined;
      let isStopped = false;
      let seen = '';
      const look = async (): Promise<void> => {
        const stamp = await stampOf(request);
        if (stamp === seen || stamp === '') return;
        const isFirst = seen === '';
        seen = stamp;
        if (isFirst) return;
        server.setSecureContext(await optionsOf(request));
        announcements.notice.publish({ level: 'info', message: `TLS material reloaded from ${fileOf(source)}.` });
      };
      const round = (): void => {
        look()
          .catch((cause: unknown) =>
            announcements.notice.publish({
              level: 'error',
              message: `The changed TLS material cannot be used; the old one stays. ${cause instanceof Fault ? cause.message : ''}`,
              cause,
            }),
          )
          .finally(() => {
            if (!isStopped) timer = clock.after(CHECK_EVERY_MS, round);
          });
      };
      round();
      return {
        cancel() {
          isStopped = true;
          timer?.cancel();
        },
      };
    },
  };
}

async function optionsOf({ source, clientAuthorityFile, clock }: TlsRequest): Promise<TlsMaterial['options']> {
  const material = source.kind === 'pem' ? await readPem(source) : await readKeystore(source);
  const client = clientAuthorityFile === undefined ? {} : { ca: await read(clientAuthorityFile, 'public') };
  const options = {
    ...material,
    ...client,
    requestCert: clientAuthorityFile !== undefined,
    rejectUnauthorized: clientAuthorityFile !== undefined,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    honorCipherOrder: true,
  } as const;
  checkDates(certificateOf(options, source), fileOf(source), clock);
  return options;
}

async function readPem(source: Extract<TlsSource, { kind: 'pem' }>): Promise<SecureContextOptions> {
  const keyText = await read(source.privateKeyFile, 'private');
  const cert = await read(source.certificateFile, 'public');
  let key: KeyObject;
  try {
    key = createPrivateKey(keyText);
  } catch (cause) {
    throw unusable(source.privateKeyFile, 'it is not an unencrypted PEM private key (PKCS#1 or PKCS#8)', cause);
  }
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch (cause) {
    throw unusable(source.certificateFile, 'it does not begin with a PEM certificate', cause);
  }
  if (!certificate.checkPrivateKey(key)) {
    throw unusable(
      source.certificateFile,
      `its first certificate does not belong to the key in ${source.privateKeyFile}; put the server's own certificate first, then its chain`,
    );
  }
  return { key: keyText, cert };
}

async function readKeystore(source: Extract<TlsSource, { kind: 'keystore' }>): Promise<SecureContextOptions> {
  const bytes = await read(source.path, 'private');
  switch (source.type.toUpperCase()) {
    case 'PKCS12':
      return { pfx: bytes, passphrase: source.password.reveal() };
    case 'JKS': {
      const { key, chain } = readJks(bytes, source.password.reveal(), source.path);
      return { key, cert: chain };
    }
    default:
      throw unusable(source.path, `keystore_type ${source.type} is not known; use PKCS12 or JKS`);
  }
}

/** Loads the material as the listener will, and gives back the server's certificate. */
function certificateOf(options: SecureContextOptions, source: TlsSource): X509Certificate {
  let der: Buffer | undefined;
  try {
    const { context } = createSecureContext(options) as { context?: { getCertificate?: () => Buffer | undefined } };
    der = context?.getCertificate?.();
  } catch (cause) {
    const hint =
      source.kind === 'keystore'
        ? 'check keystore_pass, and write it again with "openssl pkcs12 -export" or a recent keytool if its ciphers are old'
        : 'check that key and certificates are complete';
    throw unusable(fileOf(source), `it cannot be loaded; ${hint}`, cause);
  }
  if (der === undefined || der.length === 0) throw unusable(fileOf(source), 'No key entry found in keystore');
  return new X509Certificate(der);
}

function checkDates(certificate: X509Certificate, file: string, clock: Clock): void {
  const now = clock.wallTime();
  if (now >= certificate.validToDate.getTime()) {
    throw unusable(file, `the certificate expired on ${certificate.validTo}; renew it`);
  }
  if (now < certificate.validFromDate.getTime()) {
    throw unusable(file, `the certificate is only valid from ${certificate.validFrom} on; check the clock`);
  }
}

async function read(path: string, kind: 'private' | 'public'): Promise<Buffer> {
  try {
    const { mode } = await stat(path);
    if (kind === 'private' && (mode & 0o007) !== 0) {
      throw unusable(path, `everybody on this machine may read it; run "chmod 600 ${path}"`);
    }
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw unusable(
      path,
      `it cannot be read (${(cause as NodeJS.ErrnoException).code}); check the path and its owner`,
      cause,
    );
  }
}

/** Changes when any of the files does; empty while one is missing, as in the middle of a renewal. */
async function stampOf({ source, clientAuthorityFile }: TlsRequest): Promise<string> {
  const files = source.kind === 'pem' ? [source.privateKeyFile, source.certificateFile] : [source.path];
  if (clientAuthorityFile !== undefined) files.push(clientAuthorityFile);
  try {
    const stats = await Promise.all(files.map((file) => stat(file, { bigint: true })));
    return stats.map(({ ino, mtimeNs, size }) => `${ino}:${mtimeNs}:${size}`).join(' ');
  } catch {
    return '';
  }
}

const fileOf = (source: TlsSource): string => (source.kind === 'pem' ? source.certificateFile : source.path);

function unusable(path: string, reason: string, cause?: unknown): Fault {
  return new Fault('invalid_configuration', `TLS cannot be set up: ${path}: ${reason}.`, { cause });
}
