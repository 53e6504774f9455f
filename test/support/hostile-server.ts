// A real server at one level of isolation, with a neighbour that behaves and a model that does what it is told.
import assert from 'node:assert/strict';
import { createCage } from '../../src/workers/index.ts';
import type { IsolationLevel } from '../../src/policy/index.ts';
import { makeModelStore, type TestStore } from './model-store.ts';
import { OBEY } from './probe-handlers.ts';
import { startRealServer, type RealServer } from './real-server.ts';

const NEIGHBOUR = `
def handle(data, context):
    return None if data is None else [row["body"][::-1] for row in data]
`;

/** What each level needs that this machine lacks; false where it lacks nothing. */
export const CAGED_LEVELS = await Array.fromAsync(['strict', 'process'] as const, async (level) => ({
  level,
  skip: await createCage({ level }).then(
    () => false as const,
    (error: Error) => error.message,
  ),
}));

export class HostileServer implements AsyncDisposable {
  readonly server: RealServer;
  readonly #store: TestStore;
  #count = 0;

  private constructor(server: RealServer, store: TestStore) {
    this.server = server;
    this.#store = store;
  }

  static async start(
    level: IsolationLevel,
    options: {
      readonly config: readonly string[];
      /** `model-config.yaml` of the hostile model. */
      readonly model: string;
      readonly prepare?: (store: TestStore) => void;
      /** Of the server. */
      readonly env?: Readonly<Record<string, string>>;
    },
  ): Promise<HostileServer> {
    const store = makeModelStore();
    store.add('neighbour', NEIGHBOUR);
    store.add('evil', OBEY, { config: `minWorkers: 1\nmaxWorkers: 1\n${options.model}` });
    options.prepare?.(store);
    const config = [`isolation=${level}`, 'enable_model_api=true', ...options.config];
    const { env = {} } = options;
    return new HostileServer(
      await startRealServer({ modelStore: store.dir, models: ['neighbour'], config, env }),
      store,
    );
  }

  get modelStore(): string {
    return this.#store.dir;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    this.#store[Symbol.dispose]();
  }

  /** Registers a model under a name of its own, so that no attack waits for another one's back-off. */
  async enter(url = 'evil', isSynchronous = true): Promise<string> {
    const name = `${url}${(this.#count += 1)}`;
    const query = `url=${url}&model_name=${name}&initial_workers=1&synchronous=${isSynchronous}`;
    const response = await this.server.manage('POST', `/models?${query}`);
    assert.ok(response.ok, await response.text());
    return name;
  }

  async leave(name: string): Promise<void> {
    assert.equal((await this.server.manage('DELETE', `/models/${name}/1.0`)).status, 200);
  }

  async workerOf(name: string): Promise<Record<string, any>> {
    const response = await this.server.manage('GET', `/models/${name}`);
    const [description] = (await response.json()) as Record<string, any>[];
    return description!['workers'][0] as Record<string, any>;
  }

  /** Runs code as the body of the model's handler: what it answered. */
  async attack(name: string, code: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await this.server.predict(name, code, { 'content-type': 'text/plain' });
    return { status: response.status, text: await response.text() };
  }

  /** Describe and log both name why the worker ended. */
  async namesCause(name: string, cause: RegExp): Promise<void> {
    await this.server.until(new RegExp(`${name}[^\n]*${cause.source}`));
    assert.match(String((await this.workerOf(name))['lastDeath']), cause);
  }

  /** The neighbour answers, and rightly. */
  async neighbourAnswers(): Promise<void> {
    const response = await this.server.predict('neighbour', 'live');
    assert.deepEqual([response.status, await response.text()], [200, 'evil']);
  }
}
