// The seam between the container and what looks into it: the store offers quarantined files, an inspector says what they hold.
import type { Finding } from '../kernel/index.ts';
import type { RandomAccess } from './random-access.ts';

/** One regular file in quarantine: unpacked, checked against its container, owned by us, not yet loadable by anybody. */
export interface QuarantinedFile {
  /** Relative, `/`-separated, checked. */
  readonly name: string;
  readonly size: number;
  /** Opens the very bytes that will be published. The caller disposes it. */
  open(): Promise<RandomAccess & AsyncDisposable>;
}

export interface Inspection {
  /** False refuses the model. */
  readonly isAllowed: boolean;
  readonly findings: readonly Finding[];
}

/** Looks at the content of one model before it is published. Throwing refuses the model too: fail closed. */
export type ContentInspector = (files: readonly QuarantinedFile[], signal: AbortSignal) => Promise<Inspection>;
