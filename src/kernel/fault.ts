// The one error class of the server. Anything else that is thrown is a bug and is answered as `internal`.
import { FAULTS, type FaultCode, type FaultEntry } from './fault-catalog.ts';

export interface FaultOptions {
  /** What really happened. Goes to the log, never to a client. */
  readonly cause?: unknown;
  /** Replaces the catalogue's status: a handler's `PredictionException` chooses its own. */
  readonly status?: number;
}

/** A failure with a stable code. `message` is safe to show to a client; `cause` never leaves the process. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly #status: number | undefined;

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.#status = options.status;
  }

  get entry(): FaultEntry {
    return FAULTS[this.code];
  }

  get status(): number {
    return this.#status ?? this.entry.status;
  }
}
Fault.prototype.name = 'Fault';

/** Turns anything thrown into a Fault; an unexpected error keeps its details in `cause` and shows the client nothing. */
export function toFault(thrown: unknown): Fault {
  return thrown instanceof Fault ? thrown : new Fault('internal', 'Internal server error.', { cause: thrown });
}
