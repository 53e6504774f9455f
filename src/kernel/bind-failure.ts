// Why a listener cannot be opened, and what to do about it (the first words are TorchServe's: surface spec 1.3).
import { Fault } from './fault.ts';

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; stop it, or choose another address',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'not allowed; ports below 1024 are for root',
  ENOTFOUND: 'this name has no address',
};

/** `address` as the operator may search for it: `127.0.0.1:8080` or a path. */
export function bindFailure(address: string, cause: unknown): Fault {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  return new Fault('invalid_configuration', `Failed to bind to address: ${address} (${ADVICE[code] ?? message})`, {
    cause,
  });
}
