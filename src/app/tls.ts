// TLS as configured: one certificate for every listener that asks for it.
import type { Settings } from '../config/index.ts';
import { loadTls, type TlsMaterial, type TlsSource } from '../http/index.ts';
import { Fault, systemClock } from '../kernel/index.ts';
import type { Announcements } from '../serving/index.ts';

/**
 * `listener` names who asks, for the error. Where the configuration has both kinds, REST takes the keystore and gRPC the PEM
 * files (surface spec 6.10). Without a certificate nothing starts: TorchServe's silent self-signed one only looks like security.
 */
export function loadConfiguredTls(
  { tls }: Settings,
  announcements: Announcements,
  listener: string,
  preferred: TlsSource['kind'],
): Promise<TlsMaterial> {
  const sources = {
    pem: tls.pem && { kind: 'pem', ...tls.pem },
    keystore: tls.keystore && { kind: 'keystore', ...tls.keystore },
  } satisfies Record<TlsSource['kind'], TlsSource | undefined>;
  const source: TlsSource | undefined = sources[preferred] ?? sources.keystore ?? sources.pem;
  if (source === undefined) {
    throw new Fault(
      'invalid_configuration',
      `${listener} needs a certificate: set private_key_file and certificate_file (PEM), or keystore, keystore_pass and keystore_type, in config.properties.`,
    );
  }
  const { clientAuthorityFile } = tls;
  return loadTls({
    source,
    clock: systemClock,
    announcements,
    ...(clientAuthorityFile === undefined ? {} : { clientAuthorityFile }),
  });
}
