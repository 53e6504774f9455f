// A closed-loop HTTP/1.1 client on raw keep-alive sockets, in a process of its own: each connection sends, waits, sends again.
import { connect, type Socket } from 'node:net';
import { readFileSync } from 'node:fs';
import { summarize } from './measurement.ts';

export interface LoadPlan {
  readonly port: number;
  readonly path: string;
  readonly token?: string;
  readonly contentType?: string;
  readonly connections: number;
  /** Bytes of filler, or a file that is sent as it is. */
  readonly body: { readonly bytes: number } | { readonly file: string };
  /** An answer of another length is an error. */
  readonly expectedBytes?: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

const plan = JSON.parse(process.argv[2]!) as LoadPlan;
const body = 'file' in plan.body ? readFileSync(plan.body.file) : Buffer.alloc(plan.body.bytes, 'davy');
const head =
  `POST ${plan.path} HTTP/1.1\r\nHost: 127.0.0.1:${plan.port}\r\nContent-Length: ${body.length}\r\n` +
  `Content-Type: ${plan.contentType ?? 'application/octet-stream'}\r\n` +
  `${plan.token === undefined ? '' : `Authorization: Bearer ${plan.token}\r\n`}\r\n`;
const request = Buffer.concat([Buffer.from(head), body]);

let latencies: number[] = [];
let errors = 0;
const isOver = { value: false };
const sockets = Array.from({ length: plan.connections }, open);
setTimeout(startMeasuring, plan.warmUpMs);

function startMeasuring(): void {
  latencies = [];
  errors = 0;
  const startedAt = performance.now();
  process.send!({ kind: 'measuring' });
  setTimeout(() => {
    isOver.value = true;
    const summary = summarize(latencies, performance.now() - startedAt, errors);
    process.send!({ kind: 'measured', ...summary }, () => process.exit(0));
    for (const socket of sockets) socket.destroy();
  }, plan.measureMs);
}

function open(): Socket {
  const socket = connect(plan.port, '127.0.0.1');
  socket.setNoDelay(true);
  let sentAt = 0;
  let text = '';
  /** Bytes of the answer's body still to come; -1 while its head is incomplete. */
  let missing = -1;
  const send = (): void => {
    sentAt = performance.now();
    text = '';
    missing = -1;
    socket.write(request);
  };
  socket.on('connect', send);
  socket.on('data', (chunk) => {
    if (missing < 0) {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? Number.NaN);
      const isWrong = !text.startsWith('HTTP/1.1 200') || (plan.expectedBytes ?? length) !== length;
      if (isWrong) errors++;
      if (Number.isNaN(length)) throw new Error(`No content-length in:\n${text.slice(0, end)}`);
      missing = length - (text.length - end - 4);
    } else {
      missing -= chunk.length;
    }
    if (missing > 0) return;
    latencies.push(performance.now() - sentAt);
    if (!isOver.value) send();
  });
  socket.on('error', () => errors++);
  socket.on('close', () => {
    if (!isOver.value) errors++;
  });
  return socket;
}
