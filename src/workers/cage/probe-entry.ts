// The short escape suite of a machine without Python. Runs as a throw-away Node worker; answers on descriptor 3.
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmdirSync, writeSync } from 'node:fs';
import { connect } from 'node:net';

const target = JSON.parse(process.argv[2] ?? '{}') as Record<string, unknown>;

/** What each attack got, or a throw when it was stopped. */
const ATTACKS: Record<string, readonly [title: string, attack: () => unknown]> = {
  F01: ['read the accounts of the host', () => readFileSync('/etc/passwd', 'utf8').split('\n')[0]],
  F02: ['read a secret file of the server', () => readFileSync(String(target['secretFile']), 'utf8')],
  F03: ['read another model', () => readdirSync(String(target['otherModel']))],
  F04: ['change its own model', () => created(String(target['model']))],
  F06: ['create files in the root of the system', () => created('')],
  P02: ['read the environment of another process', () => readFileSync('/proc/1/environ', 'latin1').slice(0, 1)],
  P03: ["find the server's environment in its own", () => names().find((name) => name in process.env)],
  P04: ['signal the server', () => process.kill(Number(target['serverPid']), 0)],
  P10: ['be root', () => process.getuid?.() === 0],
  N01: ['connect to the server on loopback', () => connected({ host: '127.0.0.1', port: Number(target['port']) })],
  N05: ['connect to an abstract unix socket', () => connected({ path: `\0${String(target['abstract'])}` })],
};

for (const [id, [title, attack]] of Object.entries(ATTACKS)) {
  tell([id, title]);
  try {
    tell([id, title, (await attack()) || null]);
  } catch {
    tell([id, title, null]);
  }
}
process.exit(0);

function tell(event: readonly unknown[]): void {
  writeSync(3, `${JSON.stringify(event)}\n`);
}

function names(): string[] {
  return Array.isArray(target['serverEnv']) ? target['serverEnv'].map(String) : [];
}

function created(folder: string): string {
  const path = mkdtempSync(`${folder}/davy-probe-`);
  rmdirSync(path);
  return path;
}

async function connected(where: { host?: string; port?: number; path?: string }): Promise<boolean> {
  const socket = where.path === undefined ? connect(where.port ?? 0, where.host) : connect(where.path);
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(1000) });
    return true;
  } finally {
    socket.destroy();
  }
}
