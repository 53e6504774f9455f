// What boot probes attack: a stand-in for everything that a server has and a worker must not get.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { CAGE_VARIABLES } from './environment.ts';
import type { IsolationLevel, WorkerLimits } from '../../policy/index.ts';

export interface ProbeTarget extends AsyncDisposable {
  readonly modelDir: string;
  /** What the probe worker is told; `model` is the path inside. */
  describe(model: string): Readonly<Record<string, unknown>>;
}

/** Files that every user could read, and listeners on loopback only: what stops the worker is the cage. */
export async function openProbeTarget(level: IsolationLevel, limits: WorkerLimits): Promise<ProbeTarget> {
  const folder = mkdtempSync(join(tmpdir(), 'davy-probe-'));
  chmodSync(folder, 0o755);
  const [modelDir, otherModel] = ['model', 'other'].map((name) => join(folder, name)) as [string, string];
  for (const path of [modelDir, otherModel]) {
    mkdirSync(path);
    writeFileSync(join(path, 'weights.bin'), 'weights');
  }
  const secretFile = join(folder, 'key_file.json');
  writeFileSync(secretFile, 'secret', { mode: 0o644 });
  const otherTmp = join(folder, 'davy-worker-other');
  mkdirSync(otherTmp);
  writeFileSync(join(otherTmp, 'request.bin'), 'what somebody asked', { mode: 0o644 });
  const sharedMemory = join(existsSync('/dev/shm') ? '/dev/shm' : folder, `davy-probe-${process.pid}`);
  writeFileSync(sharedMemory, 'shared', { mode: 0o644 });
  const unixPath = join(folder, 'socket');
  const abstract = `davy-probe-${process.pid}`;
  const listeners = await Promise.all([
    listening({ host: '127.0.0.1', port: 0 }),
    listening({ host: '127.0.0.2', port: 0 }),
    listening({ path: unixPath }),
    listening({ path: `\0${abstract}` }),
  ]);
  chmodSync(unixPath, 0o777);
  return {
    modelDir,
    describe: (model) => ({
      ...{ level, model, otherModel, otherTmp, secretFile, sharedMemory, unixPath, abstract, hostname: hostname() },
      ...{ port: portOf(listeners[0]), otherPort: portOf(listeners[1]) },
      serverPid: process.pid,
      serverEnv: Object.keys(process.env).filter((name) => !HARMLESS.has(name)),
      ...limits,
    }),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(listeners.map((server) => once(server.close(), 'close')));
      rmSync(folder, { recursive: true, force: true });
      rmSync(sharedMemory, { force: true });
    },
  };
}

/** Names that a worker's own environment has too. */
const HARMLESS: ReadonlySet<string> = new Set([...CAGE_VARIABLES, 'PWD', 'LC_CTYPE']);

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function listening(where: { host?: string; port?: number; path?: string }): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  server.listen(where);
  await once(server, 'listening');
  return server;
}
