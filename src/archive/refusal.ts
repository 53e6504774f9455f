// How this room says no: one Fault code, a reason that fits one line, and attacker text only in quoted form.
import { Fault } from '../kernel/index.ts';

/** `reason` completes the sentence "Archive refused: …". */
export const refuse = (reason: string, cause?: unknown): Fault =>
  new Fault('archive_refused', `Archive refused: ${reason}.`, { cause });

export const invalidModel = (message: string, cause?: unknown): Fault => new Fault('invalid_model', message, { cause });

/** Longest piece of an archive's own text that goes into a message, in characters. */
const QUOTE_CHARS = 80;

/** Text an attacker chose, safe for one line of a log or an error. */
export function quote(text: string): string {
  const short = text.length > QUOTE_CHARS ? `${text.slice(0, QUOTE_CHARS)}…` : text;
  // JSON escapes C0 and quotes; the rest of what can forge a line or reorder one is escaped here.
  return JSON.stringify(short.toWellFormed()).replace(
    /[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}]/gu,
    (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`,
  );
}
