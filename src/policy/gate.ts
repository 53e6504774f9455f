// The one gate in front of every operation of every protocol: header in, principal out, or a Fault.
import { Fault } from '../kernel/index.ts';
import { parseBearer } from './bearer.ts';
import type { FailureLimiter } from './failure-limiter.ts';
import type { Keyring } from './keyring.ts';
import { ANONYMOUS, permits, type Permission, type Principal } from './permission.ts';

/** The same text for a missing, malformed, wrong, expired or insufficient key (surface spec 6.4). */
const REFUSED = 'Token Authorization failed. Token either incorrect, expired, or not provided correctly';
const TOO_MANY = 'Token Authorization failed too often from this address. Wait before trying again';

export interface Gate {
  /** False when token authorisation is switched off: `/token` does not exist then (surface spec 6.5). */
  readonly isEnforcing: boolean;
  /**
   * `authorization` is the raw header or metadata value, `remote` the peer's address without port.
   * A caller that saw two such headers passes undefined. Throws Fault `unauthenticated`, `forbidden` or `too_many_failures`.
   */
  admit(authorization: string | undefined, remote: string, permission: Permission): Principal;
  /** For a model that is only known once the message has been read. Throws Fault `forbidden`. */
  require(principal: Principal, permission: Permission): void;
}

export function createGate(keyring: Keyring, limiter: FailureLimiter): Gate {
  return {
    isEnforcing: true,
    admit(authorization, remote, permission) {
      if (permission.kind === 'open') return ANONYMOUS;
      if (authorization === undefined) throw new Fault('unauthenticated', REFUSED);
      const key = parseBearer(authorization);
      const principal = key === undefined ? undefined : keyring.identify(key);
      if (principal === undefined) {
        // Only wrong keys are counted, and a right key always passes: nobody can lock out a neighbour behind the same address.
        if (!limiter.record(remote)) throw new Fault('too_many_failures', TOO_MANY);
        throw new Fault('unauthenticated', REFUSED);
      }
      demand(principal, permission);
      return principal;
    },
    require: demand,
  };
}

/** For `disable_token_authorization=true`. */
export function createOpenGate(): Gate {
  return { isEnforcing: false, admit: () => ANONYMOUS, require: () => undefined };
}

function demand(principal: Principal, permission: Permission): void {
  if (!permits(principal, permission)) throw new Fault('forbidden', REFUSED);
}
