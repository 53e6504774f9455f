// A worker's stdout and stderr, cut into lines for the log. A line that never ends is cut; a flood is dropped and counted.
import type { Readable } from 'node:stream';
import type { Clock } from '../kernel/index.ts';

/** Longer lines are cut: nobody reads them, and they would fill memory. */
const MAX_LINE_BYTES = 8 * 1024;
/** Text per second and stream; tracebacks fit easily, floods do not. */
const MAX_BYTES_PER_SECOND = 256 * 1024;

export function readLines(stream: Readable, clock: Clock, onLine: (line: string) => void): void {
  let rest = '';
  let windowStart = clock.now();
  let budget = MAX_BYTES_PER_SECOND;
  let dropped = 0;

  const take = (bytes: number): boolean => {
    const now = clock.now();
    if (now - windowStart >= 1000) {
      if (dropped > 0)
        onLine(`[${dropped} bytes of output dropped: more than ${MAX_BYTES_PER_SECOND} bytes per second]`);
      windowStart = now;
      budget = MAX_BYTES_PER_SECOND;
      dropped = 0;
    }
    if (budget < bytes) {
      dropped += bytes;
      return false;
    }
    budget -= bytes;
    return true;
  };

  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    if (!take(text.length)) return;
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line.slice(0, MAX_LINE_BYTES));
    if (rest.length > MAX_LINE_BYTES) {
      onLine(rest.slice(0, MAX_LINE_BYTES));
      rest = '';
    }
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest.slice(0, MAX_LINE_BYTES));
    if (dropped > 0) onLine(`[${dropped} bytes of output dropped]`);
  });
  // The process's exit says what happened.
  stream.on('error', () => {});
}
