// HTTP/2 frames by hand (RFC 9113), for clients that no library would be.
import { connect, type Socket } from 'node:net';

export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header field as an HPACK literal without indexing. */
export const literal = (name: string, value: string): Buffer =>
  Buffer.concat([
    Buffer.from([0, ...length(name.length)]),
    Buffer.from(name),
    Buffer.from(length(value.length)),
    Buffer.from(value),
  ]);

/** As `literal`, and kept in the peer's table: index 62 from then on. */
export const indexed = (name: string, value: string): Buffer => {
  const field = literal(name, value);
  field[0] = 0x40;
  return field;
};

/** The fields of a call; `:method` is POST, or GET where `isGet`. */
export const callHeaders = (path: string, isGet = false): Buffer =>
  Buffer.concat([
    Buffer.from([isGet ? 0x82 : 0x83, 0x86]),
    literal(':path', path),
    literal(':authority', 'localhost'),
    literal('content-type', 'application/grpc'),
  ]);

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** A connection that has said its preface, and may or may not read what it is told. */
export class FrameClient {
  readonly socket: Socket;
  isClosed = false;
  #received = Buffer.alloc(0);

  constructor(port: number, isReading = true) {
    this.socket = connect({ port, host: '127.0.0.1' });
    // A reset is one of the ways a server may close on an abuser.
    this.socket.on('error', () => undefined);
    this.socket.on('close', () => (this.isClosed = true));
    this.socket.on('data', (bytes: Buffer) => (this.#received = Buffer.concat([this.#received, bytes])));
    if (!isReading) this.socket.pause();
    this.send(PREFACE, frame(FRAME.settings, 0, 0));
  }

  /** The error codes of the streams that the server has reset. */
  get resets(): number[] {
    const codes: number[] = [];
    for (let at = 0; at + 9 <= this.#received.length; at += 9 + this.#received.readUIntBE(at, 3)) {
      if (this.#received[at + 3] === FRAME.reset) codes.push(this.#received.readUInt32BE(at + 9));
    }
    return codes;
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** Sends what `next` makes until the server closes or `times` are over; true where it closed. */
  async flood(times: number, next: (at: number) => Uint8Array): Promise<boolean> {
    for (let at = 0; at < times && !this.isClosed; at += 1) {
      if (!this.socket.write(next(at))) await Promise.race([drained(this.socket), pause(50)]);
    }
    // Who does not read does not hear of the close either.
    this.socket.resume();
    for (let waited = 0; waited < 100 && !this.isClosed; waited += 1) await pause(10);
    return this.isClosed;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const drained = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      socket.off('drain', done).off('close', done);
      resolve();
    };
    socket.on('drain', done).on('close', done);
  });

/** An HPACK integer behind a prefix of seven bits. */
function length(value: number): number[] {
  if (value < 127) return [value];
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return [...bytes, rest];
}
