// TLS as configured: one certificate for every listener that asks for it.
import type { Settings } from '../config/index.ts';
import { loadTls, type TlsMaterial, type TlsSource } from '../http/index.ts';
import { Fault, systemClock } from '../kernel/index.ts';
import type { Announcements } from '../serving/index.ts';

/**
 * `listener` names who asks, for the error. Without a certificate nothing starts: TorchServe's silent self-signed one only
 * looks like security.
 */
export function loadConfiguredTls(
  { tls }: Settings,
  announcements: Announcements,
  listener: string,
): Promise<TlsMaterial> {
  const source: TlsSource | undefined =
    tls.keystore === undefined ? tls.pem && { kind: 'pem', ...tls.pem } : { kind: 'keystore', ...tls.keystore };
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
