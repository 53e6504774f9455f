// The verdict in a JSON object that a program or a web service printed. Strict: what is not understood is no verdict.
import { CLEAN, type ScanVerdict } from './scanner.ts';

export interface VerdictField {
  /** Member of the object that holds the word. */
  readonly field: string;
  /** The word that means clean; every other text means malicious. */
  readonly clean: string;
}

export function parseVerdict(text: string, { field, clean }: VerdictField): ScanVerdict {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: 'unanswered', why: 'The answer is not one JSON object.' };
  }
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, field);
  const word = isObject ? (value as Record<string, unknown>)[field] : undefined;
  if (typeof word !== 'string' || word === '') {
    return { kind: 'unanswered', why: `The answer has no text in its member ${JSON.stringify(field)}.` };
  }
  return word === clean ? CLEAN : { kind: 'malicious', what: word };
}
