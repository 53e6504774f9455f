// clamd: a file goes over its socket (INSTREAM), and only the exact reply `stream: OK` is clean.
//
// The daemon answers early when its own limit is reached, and may close while we write: then its answer counts, not the
// broken pipe. Its path commands are not used; the daemon need not read our directories.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { StoredFile } from '../models/quarantine.ts';
import { CLEAN, contentOf, type Scanner, type ScanVerdict } from './scanner.ts';

export interface ClamdOptions {
  readonly address: { readonly path: string } | { readonly host: string; readonly port: number };
  /** Above clamd's own MaxFileSize it says OK without having looked; what is larger than this is not sent. */
  readonly maxBytes: number;
}

/** Writing to what was closed at the other end. */
const CUT: ReadonlySet<string> = new Set(['EPIPE', 'ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE']);

/** `stream: `, a signature's name and ` FOUND`; anything longer is not clamd. */
const MAX_REPLY_BYTES = 4096;

export function createClamd({ address, maxBytes }: ClamdOptions): Scanner {
  return {
    /** Its version, and the number and date of its signatures. */
    async greet(signal) {
      signal.throwIfAborted();
      const socket = connect(address);
      // A socket that fails later than anybody looks must not end the process.
      socket.on('error', () => {});
      const abort = (): void => void socket.destroy(new Error('no answer'));
      signal.addEventListener('abort', abort, { once: true });
      try {
        socket.write('zVERSION\0');
        const reply = (await readReply(socket)).replace(/\0$/, '');
        if (!/^ClamAV [\x20-\x7e]{1,100}$/.test(reply)) throw new Error('what answers there is not clamd');
        return reply;
      } finally {
        signal.removeEventListener('abort', abort);
        socket.destroy();
      }
    },
    async scan(file, signal) {
      if (file.size > maxBytes) {
        return { kind: 'unanswered', why: `The file is larger than the ${maxBytes} bytes that clamd is sent.` };
      }
      signal.throwIfAborted();
      const socket = connect({ ...address, allowHalfOpen: true });
      // A socket that fails later than anybody looks must not end the process.
      socket.on('error', () => {});
      const abort = (): void => void socket.destroy(new Error('The scan took too long.'));
      signal.addEventListener('abort', abort, { once: true });
      try {
        await once(socket, 'connect');
        const reply = readReply(socket);
        const isSentWhole = await send(file, socket, reply);
        return parseReply(await reply, isSentWhole);
      } catch (thrown) {
        // Whatever clamd had to say went down with the connection.
        if (!CUT.has((thrown as NodeJS.ErrnoException).code ?? '')) throw thrown;
        return { kind: 'unanswered', why: 'clamd closed the connection; see its StreamMaxLength.' };
      } finally {
        signal.removeEventListener('abort', abort);
        socket.destroy();
      }
    },
  };
}

/** True once everything was written; false when clamd answered or closed before that. */
async function send(file: StoredFile, socket: Socket, reply: Promise<string>): Promise<boolean> {
  let isAnswered = false;
  const answered = reply.then(
    () => (isAnswered = true),
    () => (isAnswered = true),
  );
  const write = async (bytes: Uint8Array): Promise<void> => {
    if (socket.write(bytes)) return;
    await Promise.race([once(socket, 'drain').catch(() => {}), answered]);
  };
  await write(Buffer.from('zINSTREAM\0'));
  for await (const piece of contentOf(file)) {
    if (isAnswered) return false;
    await write(lengthOf(piece.length));
    await write(piece);
  }
  if (isAnswered) return false;
  await write(lengthOf(0));
  return true;
}

function lengthOf(length: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

/** Everything until clamd closes. */
async function readReply(socket: Socket): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of socket as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > MAX_REPLY_BYTES) throw new Error('The reply is no reply of clamd.');
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('latin1');
}

export function parseReply(reply: string, isSentWhole: boolean): ScanVerdict {
  // One NUL, at the end: otherwise the reply was cut, or is two replies.
  if (reply.indexOf('\0') !== reply.length - 1) return unanswered(reply);
  const text = reply.slice(0, -1);
  const found = /^stream: (.+) FOUND$/.exec(text);
  if (found !== null) return { kind: 'malicious', what: found[1]! };
  // An OK to a part of the file says nothing about the rest.
  return text === 'stream: OK' && isSentWhole ? CLEAN : unanswered(text);
}

const unanswered = (reply: string): ScanVerdict => ({
  kind: 'unanswered',
  why: reply === '' ? 'clamd closed the connection.' : `clamd said: ${reply}`,
});
