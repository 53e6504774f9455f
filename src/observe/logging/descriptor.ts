// The console as a line target. Node writes to pipes and files on stdout synchronously, so a reader that stops
// reading would stop the server; here the wait happens on a pool thread and the queue in front of it is bounded.
import { write, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { LineTarget } from './line-writer.ts';

/** A pipe that another process made non-blocking answers EAGAIN when full. */
const RETRY_AFTER_MS = 10;

export function descriptorTarget(fd: number): LineTarget {
  return {
    async write(bytes) {
      for (let offset = 0; offset < bytes.length;) {
        const written = await writeSome(fd, bytes, offset);
        if (written === 0) await delay(RETRY_AFTER_MS);
        offset += written;
      }
    },
    writeSync(bytes) {
      writeSync(fd, bytes);
    },
    // The descriptor belongs to the process.
    close: () => Promise.resolve(),
  };
}

function writeSome(fd: number, bytes: Buffer, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, offset, bytes.length - offset, null, (error, written) => {
      if (error === null) resolve(written);
      else if (error.code === 'EAGAIN') resolve(0);
      else reject(error);
    });
  });
}
