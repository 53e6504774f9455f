// Token authorisation as configured: the key ring, the gate in front of every door, and key_file.json.
import { join } from 'node:path';
import type { Settings } from '../config/index.ts';
import { Fault, systemClock } from '../kernel/index.ts';
import { createGate, createOpenGate, FailureLimiter, Keyring, type Gate } from '../policy/index.ts';
import type { Announcements, TokenRotation } from '../serving/index.ts';
import { claimLock, createKeyFile } from '../store/index.ts';

export interface Authorisation {
  readonly gate: Gate;
  /** Undefined when authorisation is off: there are no keys to rotate. */
  readonly tokens: TokenRotation | undefined;
  /** Deletes the key file and lets it go. */
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
  const path = join(settings.server.cwd, 'key_file.json');
  await using claims = new AsyncDisposableStack();
  claims.use(await claimLock(`${path}.lock`, (owner) => takenKeyFile(path, owner)));
  const keyring = new Keyring(systemClock);
  const keyFile = await createKeyFile({
    path,
    expirationMin: settings.auth.tokenLifetimeMin,
    keyring,
    clock: systemClock,
    announcements,
  });
  const gate = createGate(keyring, new FailureLimiter(systemClock));
  claims.defer(() => keyFile.remove());
  const held = claims.move();
  return { gate, tokens: keyFile, close: () => held.disposeAsync() };
}

/** A second server would replace the first one's keys under its clients, and take them along when it stops. */
const takenKeyFile = (path: string, owner: string): Fault =>
  new Fault(
    'invalid_configuration',
    `${path} belongs to ${owner}. Start this server in a working directory of its own.`,
  );
