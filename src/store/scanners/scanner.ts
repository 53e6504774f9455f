// What a scanner is: something that is shown one file in quarantine and says one word about it.
import { createHash } from 'node:crypto';
import { readRange } from '../../archive/index.ts';
import type { StoredFile } from '../models/quarantine.ts';

/** Everything that is not literally a clean or a malicious verdict is `unanswered`, and never taken for clean. */
export type ScanVerdict =
  | { readonly kind: 'clean' }
  | { readonly kind: 'malicious'; readonly what: string }
  /** The scanner works, but has nothing to say about this file. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unanswered'; readonly why: string };

export interface Scanner {
  /** Resolves with `unanswered`, or rejects, for every failure; both mean the same. */
  scan(file: StoredFile, signal: AbortSignal): Promise<ScanVerdict>;
  /** Asks for a sign of life, without a file: what the scanner says of itself. Rejects with the reason why it is none. */
  greet(signal: AbortSignal): Promise<string>;
}

export const CLEAN: ScanVerdict = { kind: 'clean' };

/** Lower-case hex. */
export async function sha256Of(file: StoredFile, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of contentOf(file)) {
    signal.throwIfAborted();
    hash.update(piece);
  }
  return hash.digest('hex');
}

/** The very bytes that would be published. */
export async function* contentOf(file: StoredFile): AsyncGenerator<Buffer> {
  await using opened = await file.open();
  yield* readRange(opened, 0, opened.size);
}
