// Lets a client finish sending before its connection closes under an early answer.
// Closing a socket with unread bytes makes the kernel send a reset, and the client loses the answer it was to read.
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../kernel/index.ts';

/** What a refused upload may still cost us: read, thrown away, then cut. */
const MAX_LINGER_BYTES = 32 * 1024 * 1024;
const MAX_LINGER_MS = 2000;

/** Reads and forgets the rest of the body, then calls back once: at its end, when it takes too long, or when told to stop. */
export function linger(request: IncomingMessage, clock: Clock, onDone: () => void): () => void {
  let left = MAX_LINGER_BYTES;
  let isDone = false;
  const finish = (): void => {
    if (isDone) return;
    isDone = true;
    timer.cancel();
    onDone();
  };
  const timer = clock.after(MAX_LINGER_MS, finish);
  request.on('data', (chunk: Buffer) => {
    left -= chunk.byteLength;
    if (left < 0) finish();
  });
  request.on('end', finish);
  request.on('close', finish);
  request.resume();
  return finish;
}
