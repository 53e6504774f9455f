// What every case against the real server is held to: it stays up, answers its probe at once, serves its other clients,
// and leaves no process behind.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeModelStore, type TestStore } from '../../support/model-store.ts';
import { descendantsOf, isAlive } from '../../support/process-tree.ts';
import { portOf, startRealServer, type RealServer } from '../../support/real-server.ts';

/** Rule 1: liveness within a second, during and after. */
const PROBE_LIMIT_MS = 1000;
const READY_LIMIT_MS = 30_000;
/** Rule 5. Nothing of the machine, of the code or of a worker may show in an answer. */
const REVEALING = /\/(?:tmp|root|home|usr|proc)\/|Traceback|\bat .*:\d+:\d+|node:internal|File "/;

export interface Siege {
  readonly server: RealServer;
  readonly store: TestStore;
  readonly inferencePort: number;
  readonly managementPort: number;
  /** A management call's status and text, which is also searched for what it must not show. */
  manage(method: string, path: string): Promise<{ readonly status: number; readonly text: string }>;
  /** Resolves when all workers of the model are ready. */
  ready(model: string): Promise<void>;
  workersOf(model: string): Promise<readonly { readonly pid: number; readonly status: string }[]>;
}

/** One server for a group of cases; `canary` is the model that other clients use meanwhile and must answer `OK`. */
export function describeSiege(
  name: string,
  fill: (store: TestStore) => void,
  options: { readonly models: readonly string[]; readonly config?: readonly string[]; readonly canary: string },
  cases: (siege: Siege) => void,
): void {
  describe(name, () => {
    let store: TestStore;
    let server: RealServer;
    let probe: NodeJS.Timeout;
    const late: number[] = [];
    const siege: Siege = {
      get server() {
        return server;
      },
      get store() {
        return store;
      },
      get inferencePort() {
        return portOf(server.inference);
      },
      get managementPort() {
        return portOf(server.management);
      },
      async manage(method, path) {
        const answer = await server.manage(method, path);
        const text = await answer.text();
        assert.doesNotMatch(text, REVEALING);
        return { status: answer.status, text };
      },
      async workersOf(model) {
        const { text } = await this.manage('GET', `/models/${model}`);
        return (JSON.parse(text) as { workers: { pid: number; status: string }[] }[])[0]!.workers;
      },
      async ready(model) {
        const end = performance.now() + READY_LIMIT_MS;
        while ((await this.workersOf(model)).some(({ status }) => status !== 'READY')) {
          assert.ok(performance.now() < end, `${model} did not become ready:\n${server.output().slice(-4000)}`);
          await sleep(50);
        }
      },
    };
    before(async () => {
      store = makeModelStore();
      fill(store);
      server = await startRealServer({
        modelStore: store.dir,
        models: options.models,
        config: ['enable_model_api=true', ...(options.config ?? [])],
      });
      for (const model of options.models) await siege.ready(model);
      probe = setInterval(() => {
        const asked = performance.now();
        fetch(`${server.inference}/ping`).then(
          (answer) => late.push(answer.ok ? performance.now() - asked : Infinity),
          () => late.push(Infinity),
        );
      }, 200);
    });
    after(async () => {
      clearInterval(probe);
      const canary = await (await server.predict(options.canary, 'x')).text();
      const workers = descendantsOf(server.process.pid!);
      const code = await server.stop();
      store[Symbol.dispose]();
      assert.equal(canary, 'OK');
      assert.equal(code, 0);
      assert.deepEqual(workers.filter(isAlive), []);
      // The probe shares its processors with the attackers: one late answer is the machine's, two in twenty are the server's.
      const tooLate = late.filter((ms) => ms > PROBE_LIMIT_MS).length;
      assert.ok(tooLate <= 1 + late.length / 10, `${tooLate} of ${late.length} probes came late`);
    });
    cases(siege);
  });
}

export function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

export const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;
