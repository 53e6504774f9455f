// Finds the known key that a mistyped one was meant to be: a typo in a security key must not fall back to its default.

/** At most this many edits (insert, delete, replace, swap of neighbours) make a near miss, one per four characters of the known key. */
const MAX_EDITS = 2;
const CHARACTERS_PER_EDIT = 4;

/** The closest of `known` within reach of `key` (case, `-` and `.` for `_` do not count), or undefined. */
export function nearMiss(key: string, known: readonly string[]): string | undefined {
  const typed = fold(key);
  let best: string | undefined;
  let bestEdits = MAX_EDITS + 1;
  for (const candidate of known) {
    const reach = Math.min(MAX_EDITS, Math.floor(candidate.length / CHARACTERS_PER_EDIT));
    if (Math.abs(candidate.length - typed.length) > reach) continue;
    const edits = editDistance(typed, fold(candidate));
    if (edits <= reach && edits < bestEdits) [best, bestEdits] = [candidate, edits];
  }
  return best;
}

/** A byte order mark, read as ISO-8859-1, is three strange characters before the first key. */
const fold = (key: string): string =>
  key
    .replace(/[^\x20-\x7e]/g, '')
    .toLowerCase()
    .replace(/[-.\s]/g, '_');

/** Optimal string alignment distance. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const isEqual = a[i - 1] === b[j - 1];
      let edits = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + (isEqual ? 0 : 1));
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwap) edits = Math.min(edits, at(beforeLast, j - 2) + 1);
      row.push(edits);
    }
    [beforeLast, last] = [last, row];
  }
  return at(last, b.length);
}

const at = (row: readonly number[], index: number): number => row[index] ?? Infinity;
