// The management rows of TorchServe's own HTTP collection (surface spec 13.1), and the server that they run against.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { startCompatServer, type CompatServer } from './compat-server.ts';
import { makeModelStore, NOOP } from './model-store.ts';

/** `{files}` in a path stands for the origin that remote archives come from. */
export type PostmanRow = readonly [method: string, path: string, status: number];

/** In an order in which they build on each other, all on one server. */
export const POSTMAN_ROWS = {
  registering: [
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
  ],
  oddRegistering: [
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
  ],
  scaling: [
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
  ],
  describing: [
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
  ],
  defaults: [
    ['POST', '/models?url=resnet-18.mar', 200],
    ['POST', '/models?url=resnet-18-v2.mar', 200],
    ['PUT', '/models/resnet-18/2.0/set-default', 200],
    ['PUT', '/models/resnet-18/0.0/set-default', 404],
    ['PUT', '/models/unknown/1.0/set-default', 404],
    ['DELETE', '/models/resnet-18/2.0', 403],
    ['DELETE', '/models/resnet-18/1.0', 200],
  ],
  unregistering: [
    ['DELETE', '/models/unknown', 404],
    ['DELETE', '/models/resnet-18/0.0', 404],
    ['DELETE', '/models/resnet-18/2.0', 200],
    ['DELETE', '/models/squeezenet1_1/?synchronous=junk&timeout=junk', 200],
    ['DELETE', '/models/squeezenet1_1', 404],
    ['DELETE', '/models/densenet161/?timeout=-1', 200],
    ['GET', '/models/densenet161', 404],
  ],
} as const satisfies Readonly<Record<string, readonly PostmanRow[]>>;

/** Loads for longer than any row waits for it. */
const SLOW_START = `
import time
time.sleep(60)
${NOOP}`;

export interface PostmanStage extends AsyncDisposable {
  readonly server: CompatServer;
  /** Stands for the hosts that the original rows download from. */
  readonly files: string;
}

export async function openPostmanStage(): Promise<PostmanStage> {
  await using stack = new AsyncDisposableStack();
  // The archives only need TorchServe's names.
  const store = stack.use(makeModelStore());
  for (const name of ['squeezenet1_1', 'densenet161', 'resnet-18', 'resnet-152-batch']) {
    store.addArchive(`${name}.mar`, name, NOOP);
  }
  store.addArchive('resnet-18-v2.mar', 'resnet-18', NOOP, {
    model: { modelName: 'resnet-18', handler: 'resnet-18.py', modelVersion: '2.0' },
  });
  store.addArchive('slow-start.mar', 'slow-start', SLOW_START);
  const host = createServer((request, response) => {
    const name = request.url === '/remote.mar' ? 'squeezenet1_1.mar' : undefined;
    if (name === undefined) response.writeHead(404).end();
    else response.end(readFileSync(join(store.dir, name)));
  }).listen(0, '127.0.0.1');
  stack.defer(() => void host.close());
  await once(host, 'listening');
  const files = `http://127.0.0.1:${(host.address() as { port: number }).port}`;
  const server = stack.use(
    await startCompatServer({
      modelStore: store.dir,
      config: [`allowed_urls=${files.replaceAll('.', '\\\\.')}/.*`, 'default_workers_per_model=0'],
    }),
  );
  const opened = stack.move();
  return { server, files, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
