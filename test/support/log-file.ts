// The log files of a running server, whose writers take their time.
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const WAIT_MS = 30_000;

/** Resolves with the first match in the file, which need not be there yet. Rejects with the file's end after half a minute. */
export async function untilInFile(path: string, pattern: RegExp): Promise<RegExpMatchArray> {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const match = pattern.exec(text);
    if (match !== null) return match;
    if (performance.now() > deadline) throw new Error(`no ${pattern} in ${path}:\n${text.slice(-2000)}`);
    await sleep(20);
  }
}
