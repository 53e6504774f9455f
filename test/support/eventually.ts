// Waiting for what happens in its own time.
import { setTimeout as sleep } from 'node:timers/promises';

/** Generous: a loaded machine may take long, and a test that passes never waits for it. */
const WAIT_MS = 30_000;

/** Resolves when it is so. Rejects after half a minute, with `what`. */
export async function eventually(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
    await sleep(10);
  }
}
