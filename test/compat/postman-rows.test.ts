// The management rows of TorchServe's own HTTP collection (surface spec 13.1), in an order in which they build on each
// other: method and path, and the status. The archives only need TorchServe's names.
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { startCompatServer, type CompatServer } from '../support/compat-server.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

type Row = readonly [method: string, path: string, status: number];

describe('the management rows of the reference’s own collection', () => {
  let store: TestStore;
  let server: CompatServer;
  /** Stands for the hosts that the original rows download from. */
  let files: Server;
  let at: string;

  before(async () => {
    store = makeModelStore();
    for (const name of ['squeezenet1_1', 'densenet161', 'resnet-18', 'resnet-152-batch']) {
      store.addArchive(`${name}.mar`, name, NOOP);
    }
    store.addArchive('resnet-18-v2.mar', 'resnet-18', NOOP, {
      model: { modelName: 'resnet-18', handler: 'resnet-18.py', modelVersion: '2.0' },
    });
    files = createServer((request, response) => {
      const name = request.url === '/remote.mar' ? 'squeezenet1_1.mar' : undefined;
      if (name === undefined) response.writeHead(404).end();
      else response.end(readFileSync(join(store.dir, name)));
    }).listen(0, '127.0.0.1');
    await once(files, 'listening');
    at = `http://127.0.0.1:${(files.address() as { port: number }).port}`;
    server = await startCompatServer({
      modelStore: store.dir,
      config: [`allowed_urls=${at.replaceAll('.', '\\\\.')}/.*`, 'default_workers_per_model=0'],
    });
  });
  after(async () => {
    await server?.stop();
    files?.close();
    store[Symbol.dispose]();
  });

  /** Runs rows in order; every one that differs is told, not only the first. */
  async function run(rows: readonly Row[]): Promise<void> {
    const differing: string[] = [];
    for (const [method, path, expected] of rows) {
      const { status, text } = await server.admin(path.replace('{files}', encodeURIComponent(at)), method);
      if (status !== expected) differing.push(`${method} ${path}: ${status} instead of ${expected}: ${text}`);
    }
    assert.deepEqual(differing, []);
  }

  behaviour('13.1', 'same', 'rows of registering, from the store and from a URL', () =>
    run([
      ['POST', '/models?url=squeezenet1_1.mar&model_name=squeezenet1_1&initial_workers=1&synchronous=true', 200],
      ['POST', '/models?url=densenet161.mar', 200],
      ['POST', '/models?url={files}/densenet161.mar&model_name=again', 500],
      ['POST', '/models?url={files}/remote.mar&model_name=remote', 200],
      ['DELETE', '/models/remote', 200],
      ['POST', '/models?url={files}/nonexistent.mar&model_name=missing', 400],
      ['POST', '/models?model_name=squeezenet1_1', 400],
      ['POST', '/models?url=&model_name=resnet', 404],
      ['POST', '/models?url=nonexistent.mar', 404],
      ['POST', '/models?url=../resnet-18.mar', 404],
      ['POST', '/models?url=squeezenet1_1.mar&model_name=squeezenet1_1', 409],
      ['POST', '/models?url=resnet-18.mar&runtime=python', 200],
      ['DELETE', '/models/resnet-18', 200],
      ['POST', '/models?url=resnet-18.mar&runtime=python3', 200],
      ['DELETE', '/models/resnet-18', 200],
      ['POST', '/models?url=resnet-18.mar&runtime=python4', 400],
    ]),
  );

  behaviour('13.1', 'same', 'rows of registering with parameters that are odd, missing or wrong', () =>
    run([
      ['POST', '/models?url=resnet-18.mar&handler=invalidHandler', 200],
      ['PUT', '/models/resnet-18?min_worker=1&synchronous=true', 500],
      ['DELETE', '/models/resnet-18', 200],
      ['POST', '/models?url=resnet-18.mar&handler=resnet-18.py', 200],
      ['DELETE', '/models/resnet-18', 200],
      ['POST', '/models?url=resnet-152-batch.mar&batch_size=3&initial_workers=3&startup_timeout=0', 500],
      ['GET', '/models/resnet-152-batch', 404],
      ['POST', '/models?url=resnet-152-batch.mar&batch_size=3&startup_timeout=0', 200],
      ['DELETE', '/models/resnet-152-batch', 200],
      ['POST', '/models?url=resnet-152-batch.mar&batch_size=3&max_batch_delay=200', 200],
      ['DELETE', '/models/resnet-152-batch', 200],
      ['POST', '/models?url=resnet-152-batch.mar&batch_size=dd', 200],
      ['DELETE', '/models/resnet-152-batch', 200],
      ['POST', '/models?url=resnet-152-batch.mar&max_batch_delay=junk', 200],
      ['DELETE', '/models/resnet-152-batch', 200],
      ['POST', '/models?url=resnet-152-batch.mar&initial_workers=-1', 200],
      ['DELETE', '/models/resnet-152-batch', 200],
      ['POST', '/models?url=resnet-152-batch.mar&synchronous=-1', 200],
      ['DELETE', '/models/resnet-152-batch', 200],
      ['POST', '/models?url=resnet-152-batch.mar&initial_workers=1&synchronous=false', 202],
      ['DELETE', '/models/resnet-152-batch', 200],
      ['POST', '/models?url=resnet-152-batch.mar&response_timeout=-1&startup_timeout=junk', 200],
      ['DELETE', '/models/resnet-152-batch', 200],
    ]),
  );

  behaviour('13.1', 'same', 'rows of scaling', () =>
    run([
      ['PUT', '/models/squeezenet1_1?min_worker=1', 202],
      ['PUT', '/models/squeezenet1_1?min_worker=1&max_worker=1&synchronous=false', 202],
      ['PUT', '/models/squeezenet1_1?min_worker=2&synchronous=true', 200],
      ['PUT', '/models/squeezenet1_1?min_worker=1&max_worker=1&synchronous=true', 200],
      ['PUT', '/models/squeezenet1_1/1.0?min_worker=1&synchronous=true', 200],
      ['PUT', '/models/squeezenet1_1?model_version=1.0&min_worker=1&synchronous=true', 200],
      ['PUT', '/models/squeezenet1_1?number_gpu=1', 202],
      ['PUT', '/models/squeezenet1_1?number_gpu=10', 202],
      ['PUT', '/models/squeezenet1_1?number_gpu=-1', 202],
      ['PUT', '/models/squeezenet1_1?timeout=-1', 202],
      ['PUT', '/models/squeezenet1_1?timeout=0', 202],
      ['PUT', '/models/squeezenet1_1?synchronous=-1', 202],
      ['PUT', '/models/squeezenet1_1?synchronous=Nan', 202],
      ['PUT', '/models/squeezenet1_1?min_worker=nan', 202],
      ['PUT', '/models/squeezenet1_1', 202],
      ['PUT', '/models/squeezenet1_1?min_worker=0', 202],
      ['PUT', '/models/squeezenet1_1?min_worker=-1', 500],
      ['PUT', '/models/squeezenet1_1?min_worker=2&max_worker=1', 400],
      ['PUT', '/models/squeezenet1_1?max_worker=-1', 400],
      ['PUT', '/models/unknown?min_worker=1', 404],
      ['PUT', '/models/squeezenet1_1/0.0?min_worker=1', 404],
      ['PUT', '/models/squeezenet1_1?model_version=0.0&min_worker=1', 404],
    ]),
  );

  behaviour('13.1', 'same', 'rows of describing and listing', () =>
    run([
      ['GET', '/models/squeezenet1_1', 200],
      ['GET', '/models/squeezenet1_1/1.0', 200],
      ['GET', '/models/squeezenet1_1/all', 200],
      ['GET', '/models/squeezenet1_1?customized=false', 200],
      ['GET', '/models/unknown', 404],
      ['GET', '/models/squeezenet1_1/0.0', 404],
      ['GET', '/models', 200],
      ['GET', '/models?limit=&next_page_token=', 200],
      ['GET', '/models?limit=3', 200],
      ['GET', '/models?limit=-1', 200],
      ['GET', '/models?next_page_token=-1', 200],
      ['GET', '/models?limit=2&next_page_token=12', 200],
      ['GET', '/models?limit=junk&next_page_token=junk', 200],
    ]),
  );

  behaviour('13.1', 'same', 'rows of default versions', () =>
    run([
      ['POST', '/models?url=resnet-18.mar', 200],
      ['POST', '/models?url=resnet-18-v2.mar', 200],
      ['PUT', '/models/resnet-18/2.0/set-default', 200],
      ['PUT', '/models/resnet-18/0.0/set-default', 404],
      ['PUT', '/models/unknown/1.0/set-default', 404],
      ['DELETE', '/models/resnet-18/2.0', 403],
      ['DELETE', '/models/resnet-18/1.0', 200],
    ]),
  );

  behaviour('13.1', 'same', 'rows of unregistering', () =>
    run([
      ['DELETE', '/models/unknown', 404],
      ['DELETE', '/models/resnet-18/0.0', 404],
      ['DELETE', '/models/resnet-18/2.0', 200],
      ['DELETE', '/models/squeezenet1_1/?synchronous=junk&timeout=junk', 200],
      ['DELETE', '/models/squeezenet1_1', 404],
      ['DELETE', '/models/densenet161/?timeout=-1', 200],
      ['GET', '/models/densenet161', 404],
    ]),
  );
});
