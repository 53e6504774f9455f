// A package index on loopback (PEP 503, PEP 691), and a server that installs the packages of its models from it.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe } from 'node:test';
import { buildZip } from '../attack/archives.ts';
import { makeModelStore, type ModelExtras, type TestStore } from './model-store.ts';
import { startRealServer, type RealServer } from './real-server.ts';

export interface PackageSuite {
  /** The running server; only inside tests. */
  readonly server: RealServer;
  /** The paths that the index was asked for so far. */
  readonly asked: readonly string[];
  /** Registers a model with one worker, and waits for it. */
  register(url: string): Promise<Response>;
}

export interface PackageSuiteOptions {
  readonly models?: readonly string[];
  /** What the index answers to a path such as `/simple/greeter/` or `/files/greeter`. */
  answer(path: string, response: ServerResponse): void;
  /** Puts models into the store; `requiring` makes the extras of one with a requirements.txt. */
  fill(store: TestStore): void;
}

/** One index, one store and one server for all tests of the suite. */
export function describeWithPackageIndex(
  name: string,
  options: PackageSuiteOptions,
  tests: (suite: PackageSuite) => void,
): void {
  describe(name, () => {
    let index: Server;
    let store: TestStore;
    let server: RealServer;
    const asked: string[] = [];
    before(async () => {
      index = createServer(({ url = '' }, response) => {
        asked.push(url);
        options.answer(url, response);
      }).listen(0, '127.0.0.1');
      await once(index, 'listening');
      store = makeModelStore();
      options.fill(store);
      server = await startRealServer({
        modelStore: store.dir,
        models: options.models ?? [],
        config: [
          'install_py_dep_per_model=true',
          'enable_model_api=true',
          `pip_index_url=http://127.0.0.1:${(index.address() as AddressInfo).port}/simple`,
        ],
      });
    });
    after(async () => {
      await server?.stop();
      index?.closeAllConnections();
      index?.close();
      store?.[Symbol.dispose]();
    });
    tests({
      asked,
      get server() {
        return server;
      },
      register: (url) => server.manage('POST', `/models?url=${url}&initial_workers=1&synchronous=true`),
    });
  });
}

export function requiring(requirements: string): ModelExtras {
  return { files: { 'requirements.txt': requirements }, model: { requirementsFile: 'requirements.txt' } };
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** One line of a requirements.txt; `marker` begins with its semicolon. */
export const pin = (name: string, version: string, bytes: Uint8Array, marker = ''): string =>
  `${name}==${version} ${marker} --hash=sha256:${sha256(bytes)}\n`;

/** A wheel as any build tool would make it; `files` may stand in for its own. */
export function wheel(project: string, version: string, files: Readonly<Record<string, string>>): Buffer {
  const info = `${project}-${version}.dist-info`;
  return buildZip(
    Object.entries({
      [`${info}/METADATA`]: `Metadata-Version: 2.1\nName: ${project}\nVersion: ${version}\n`,
      [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
      [`${info}/RECORD`]: '',
      ...files,
    }).map(([name, data]) => ({ name, data })),
  );
}
