// One observable behaviour of TorchServe's surface: which table row it is, how Davy treats it, and the test that shows it.
import { it } from 'node:test';

/**
 * `same`: as TorchServe, byte for byte where a client could tell. `stricter`: refused or narrowed on purpose; the text says
 * what to do instead. `absent`: not carried over; the text says what happens.
 */
export type Treatment = 'same' | 'stricter' | 'absent';

/**
 * Declares and tests one row of docs/compatibility.md. The three texts must be plain string literals: the document is
 * made from this file's source by tools/compatibility-docs.ts, so that no row exists without its test.
 * `section` is a section number of the surface spec, such as `2.10`.
 */
export function behaviour(section: string, treatment: Treatment, what: string, test: () => void | Promise<void>): void {
  it(`${section} ${what} [${treatment}]`, test);
}
