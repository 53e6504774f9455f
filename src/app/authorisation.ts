// Token authorisation as configured: the key ring, the gate in front of every door, and key_file.json.
import { join } from 'node:path';
import type { Settings } from '../config/index.ts';
import { systemClock } from '../kernel/index.ts';
import { createGate, createOpenGate, FailureLimiter, Keyring, type Gate } from '../policy/index.ts';
import type { Announcements, TokenRotation } from '../serving/index.ts';
import { createKeyFile } from '../store/index.ts';

export interface Authorisation {
  readonly gate: Gate;
  /** Undefined when authorisation is off: there are no keys to rotate. */
  readonly tokens: TokenRotation | undefined;
  /** Deletes the key file. */
  close(): Promise<void>;
}

export async function openAuthorisation(settings: Settings, announcements: Announcements): Promise<Authorisation> {
  if (!settings.auth.requiresToken) {
    announcements.notice.publish({
      level: 'warn',
      message: 'Token authorization is DISABLED: whoever reaches a port may use it.',
    });
    return { gate: createOpenGate(), tokens: undefined, close: async () => {} };
  }
  const keyring = new Keyring();
  const keyFile = await createKeyFile({
    path: join(settings.server.cwd, 'key_file.json'),
    expirationMin: settings.auth.tokenLifetimeMin,
    keyring,
    clock: systemClock,
    announcements,
  });
  const gate = createGate(keyring, new FailureLimiter(systemClock), systemClock);
  return { gate, tokens: keyFile, close: () => keyFile.remove() };
}
