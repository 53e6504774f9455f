// A Node handler that attacks the machine it runs on: every attack is tried, the answer is what each got hold of.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { connect, createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Worker } from 'node:worker_threads';

const HOME = process.env.TMPDIR ?? '/tmp';

const ATTACKS = {
  F01: ['read the accounts of the host', () => fs.readFileSync('/etc/passwd', 'utf8').split('\n')[0]],
  F02: ['read a secret file of the server', ({ secretFile }) => fs.readFileSync(secretFile, 'utf8')],
  F03: ['read another model', ({ otherModel }) => fs.readdirSync(otherModel)],
  F04: ['change its own model', ({ model }) => created(path.join(model, 'davy-probe'))],
  F06: ['create files in the root of the system', () => created('/davy-probe')],
  F10: ['open raw devices', () => fs.closeSync(fs.openSync('/dev/kmsg', 'r')) ?? 'opened'],
  F12: ['reach the host through another process', ({ serverPid }) => fs.readdirSync(`/proc/${serverPid}/root`)],
  F17: ['change a file of the server', ({ secretFile }) => fs.closeSync(fs.openSync(secretFile, 'a')) ?? 'opened'],
  F19: ['run a program that it wrote', () => ranOwnProgram()],
  P02: ['read the environment of the server', ({ serverPid }) => fs.readFileSync(`/proc/${serverPid}/environ`).length],
  P03: ["find the server's environment in its own", ({ serverEnv }) => serverEnv.find((name) => name in process.env)],
  P04: ['signal the server', ({ serverPid }) => process.kill(serverPid, 0)],
  P08: [
    'change the priority of the server',
    ({ serverPid }) => os.setPriority(serverPid, os.getPriority(serverPid)) ?? 'changed',
  ],
  P10: ['become root', () => process.getuid() === 0 || (process.setuid(0) ?? 'became root')],
  N01: ['connect to the server on loopback', ({ port }) => connected({ host: '127.0.0.1', port })],
  N04: ['connect to a unix socket by path', ({ unixPath }) => connected({ path: unixPath })],
  N05: ['connect to an abstract unix socket', ({ abstract }) => connected({ path: `\0${abstract}` })],
  N09: ['listen on a port', () => listening()],
  T01: ['read a secret file from another thread', ({ secretFile }) => readInThread(secretFile)],
};

export async function handle(rows) {
  return Promise.all(rows.map(({ body }) => attack(body)));
}

async function attack(target) {
  const report = {};
  for (const [id, [title, tried]] of Object.entries(ATTACKS)) {
    try {
      report[id] = [title, (await tried({ ...target, model: import.meta.dirname })) || null];
    } catch {
      report[id] = [title, null];
    }
  }
  return JSON.stringify(report);
}

function created(file) {
  fs.closeSync(fs.openSync(file, 'wx'));
  fs.unlinkSync(file);
  return file;
}

function ranOwnProgram() {
  const program = path.join(HOME, `davy-program-${process.pid}`);
  fs.copyFileSync('/bin/true', program);
  fs.chmodSync(program, 0o755);
  try {
    execFileSync(program);
    return program;
  } finally {
    fs.unlinkSync(program);
  }
}

async function connected(where) {
  const socket = connect(where);
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(1000) });
    return true;
  } finally {
    socket.destroy();
  }
}

async function listening() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.close();
  return true;
}

async function readInThread(file) {
  const code = `require('node:worker_threads').parentPort.postMessage(require('node:fs').readFileSync(${JSON.stringify(file)}, 'utf8'))`;
  const [text] = await once(new Worker(code, { eval: true }), 'message');
  return text;
}
