// One server for all tests of a suite: started before the first, stopped after the last.
import { after, before, describe } from 'node:test';
import { startCompatServer, type CompatServer } from './compat-server.ts';
import { makeModelStore, type TestStore } from './model-store.ts';
import type { RealServerOptions } from './real-server.ts';

export interface Suite {
  /** The running server; only inside tests. */
  readonly server: CompatServer;
  readonly store: TestStore;
}

/** `fill` puts models into the store before the server starts. Hooks live inside the suite: all files share one process. */
export function describeWithServer(
  name: string,
  fill: (store: TestStore) => void,
  options: Omit<RealServerOptions, 'modelStore'>,
  tests: (suite: Suite) => void,
): void {
  describe(name, () => {
    let store: TestStore | undefined;
    let server: CompatServer | undefined;
    before(async () => {
      store = makeModelStore();
      fill(store);
      server = await startCompatServer({ ...options, modelStore: store.dir });
    });
    after(async () => {
      await server?.stop();
      store?.[Symbol.dispose]();
    });
    tests({
      get server() {
        if (server === undefined) throw new Error('the server is not running');
        return server;
      },
      get store() {
        if (store === undefined) throw new Error('the store does not exist yet');
        return store;
      },
    });
  });
}
