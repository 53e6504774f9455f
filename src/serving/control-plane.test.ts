import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Fault, type FaultCode } from '../kernel/index.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { RecordingOutlet, ScriptedLauncher } from '../../test/support/scripted-worker.ts';
import { Announcements } from './announcements.ts';
import { ControlPlane } from './control-plane.ts';
import type { AdmissionJudge, AdmittedModel, ModelStore } from './ports.ts';
import type { RegisterRequest } from './management.ts';
import type { ServingSettings } from './serving-settings.ts';
import { Shard } from './shard.ts';

const admitted: AdmittedModel = {
  url: 'noop.mar',
  location: 'noop.mar',
  digest: 'd1',
  dir: '/models/d1',
  manifest: null,
  modelName: 'noop',
  modelVersion: '1.0',
  runtime: 'python',
  runtimeLabel: 'python',
  handler: 'noop.py',
  files: ['noop.py'],
  config: null,
  wishes: null,
  fallbackName: 'noop',
  warnings: [],
  bytes: 0,
};

const settings: ServingSettings = {
  initialWorkers: 0,
  startupWorkers: 2,
  responseTimeoutSec: 120,
  startupTimeoutSec: 120,
  jobQueueSize: 100,
  maxQueuedBytes: 1e6,
  maxWorkersPerModel: 8,
  maxRequestsPerWorker: 0,
  unregisterTimeoutSec: 120,
  retryFailedBatches: true,
  isModelApiEnabled: true,
  initialWorkerId: 9000,
  cpuBudget: 4,
  gpuCount: 0,
  python: 'python3',
  maxResponseBytes: 6_553_500,
  limitMaxImagePixels: true,
  decodeInputRequest: true,
  serviceEnvelope: null,
  defaultHandler: undefined,
  sequenceHeaders: { id: 'id', start: 'start', end: 'end' },
  modelMetrics: null,
  modelMetricsIntervalMs: 0,
  isDebug: false,
  modelsJson: () => ({}),
};

function setUp(
  overrides: Partial<ServingSettings> = {},
  models: Record<string, Partial<AdmittedModel>> = {},
  judge?: AdmissionJudge,
) {
  const clock = new ManualClock();
  const launcher = new ScriptedLauncher();
  const announce = new Announcements();
  const released: string[] = [];
  const store: ModelStore = {
    admit: async (url) => {
      if (url === 'gone.mar') throw new Fault('model_not_found', 'Model not found at: gone.mar');
      return { ...admitted, ...models[url], url };
    },
    release: async ({ url }) => void released.push(url),
    listAll: async () => [],
  };
  const shard = new Shard({ clock, announce, launcher, onEvent: (event) => plane.handle(event) });
  const plane = new ControlPlane({
    settings: { ...settings, ...overrides },
    store,
    shard,
    clock,
    announce,
    rssOf: () => 0,
    gpuUsage: () => 'N/A',
    ...(judge === undefined ? {} : { judge }),
  });
  return { plane, clock, launcher, released, shard };
}

/** Lets pending promise reactions run. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const ask = (rest: Partial<RegisterRequest> = {}): RegisterRequest => ({
  url: 'noop.mar',
  isSynchronous: true,
  ...rest,
});
const refusedWith = (code: FaultCode) => (error: unknown) => error instanceof Fault && error.code === code;

describe('the control plane', () => {
  it('registers without workers and says so', async () => {
    const { plane, launcher } = setUp();
    const outcome = await plane.register(ask());
    assert.equal(outcome.status, 200);
    assert.match(outcome.message, /^Model "noop" Version: 1\.0 registered with 0 initial workers\. Use scale/);
    assert.equal(launcher.workers.length, 0);
  });

  it('waits for every worker when asked to be synchronous', async () => {
    const { plane, launcher } = setUp();
    const registering = plane.register(ask({ initialWorkers: 2 }));
    await settle();
    for (const worker of launcher.workers) worker.events.onLoaded({});
    assert.deepEqual(await registering, {
      status: 200,
      message: 'Model "noop" Version: 1.0 registered with 2 initial workers',
    });
  });

  it('answers at once when asked to be asynchronous', async () => {
    const { plane } = setUp();
    assert.equal((await plane.register(ask({ initialWorkers: 1, isSynchronous: false }))).status, 202);
  });

  it('unregisters a model whose workers cannot start, so that a retry is possible', async () => {
    const { plane, launcher, released } = setUp();
    const registering = plane.register(ask({ initialWorkers: 1 }));
    await settle();
    launcher.last.kill({ kind: 'load_failed', isOutOfMemory: true, message: 'too big' });
    await assert.rejects(registering, refusedWith('worker_start_oom'));
    await assert.rejects(plane.describe('noop', undefined), refusedWith('model_not_found'));
    assert.deepEqual(released, ['noop.mar']);
  });

  it('tells why a registration failed even if another version came meanwhile, which is the default from then on', async () => {
    const { plane, launcher, shard } = setUp({}, { two: { modelVersion: '2.0' } });
    const registering = plane.register(ask({ initialWorkers: 1 }));
    await settle();
    await plane.register(ask({ url: 'two' }));
    launcher.last.kill({ kind: 'load_failed', isOutOfMemory: false, message: 'no' });
    await assert.rejects(registering, refusedWith('worker_start_failed'));
    assert.equal((await plane.describe('noop', undefined))[0]!['modelVersion'], '2.0');
    await assert.rejects(plane.describe('noop', '1.0'), refusedWith('model_version_not_found'));
    const request = {
      requestId: 'r',
      operation: 'predict',
      model: 'noop',
      version: undefined,
      headers: [],
      parts: [],
    } as const;
    assert.throws(() => shard.submit(request, new RecordingOutlet()), refusedWith('no_worker'));
  });

  it('takes a failed registration back whatever happens while its content is forgotten', async () => {
    const judge: AdmissionJudge = {
      judge: async () => ({ verdict: 'allow', digest: 'sha256:d1', rule: 'default', findings: [] }),
      remember: async (_, name, version) => async () => {
        if (version === '2.0') return;
        await plane.register(ask({ url: 'two' }));
        throw new Fault('internal', `no disk for ${name}`);
      },
    };
    const { plane, launcher, released } = setUp({}, { two: { modelVersion: '2.0' } }, judge);
    const registering = plane.register(ask({ initialWorkers: 1 }));
    await settle();
    launcher.last.kill({ kind: 'load_failed', isOutOfMemory: false, message: 'no' });
    await assert.rejects(registering, refusedWith('worker_start_failed'));
    assert.equal((await plane.describe('noop', undefined))[0]!['modelVersion'], '2.0');
    await assert.rejects(plane.describe('noop', '1.0'), refusedWith('model_version_not_found'));
    assert.deepEqual(released, ['noop.mar']);
  });

  it('says 206 to whoever waited for workers that somebody else scaled away', async () => {
    const { plane, launcher } = setUp();
    const registering = plane.register(ask({ initialWorkers: 2 }));
    await settle();
    launcher.workers[0]!.events.onLoaded({});
    await plane.scale({ modelName: 'noop', version: undefined, minWorkers: 1, maxWorkers: 1, isSynchronous: true });
    assert.deepEqual(await registering, { status: 206, message: 'Workers scaling in progress...' });
  });

  it('lets exactly one of many registrations of one version succeed, and releases the others', async () => {
    const { plane, released } = setUp();
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => plane.register(ask())));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal(released.length, 4);
  });

  it('shares the CPU budget out over every worker that is loaded at start', async () => {
    const { plane, launcher } = setUp({}, { b: { modelName: 'b' } });
    await plane.loadAtStartup([{ url: 'noop.mar' }, { url: 'b' }]);
    assert.deepEqual(
      launcher.workers.map(({ spec }) => spec.threads),
      [1, 1, 1, 1],
    );
  });

  it('restores the default version and the worker counts of a snapshot, zero included, over those of the archive', async () => {
    const wishes = { minWorkers: 2, maxWorkers: 4 };
    const { plane, launcher } = setUp({}, { 'one.mar': { wishes }, 'two.mar': { wishes, modelVersion: '2.0' } });
    await plane.loadAtStartup([
      { url: 'one.mar', restored: { version: '1.0', isDefault: false, minWorkers: 0, maxWorkers: 0 } },
      { url: 'two.mar', restored: { version: '2.0', isDefault: true, minWorkers: 1, maxWorkers: 900 } },
    ]);
    assert.equal(launcher.workers.length, 1);
    assert.deepEqual(
      plane.records.map((record) => [record.version, plane.isDefault(record), record.minWorkers, record.maxWorkers]),
      [
        ['1.0', false, 0, 0],
        ['2.0', true, 1, 8],
      ],
    );
  });

  it('ends the start when the archive of a snapshot is gone, and leaves one of load_models out', async () => {
    const { plane } = setUp();
    const restored = { version: '3.0', isDefault: true, minWorkers: 1, maxWorkers: 1 };
    await plane.loadAtStartup([{ url: 'gone.mar' }]);
    await assert.rejects(
      plane.loadAtStartup([{ url: 'gone.mar', modelName: 'gone', restored }]),
      refusedWith('invalid_configuration'),
    );
  });

  it('restarts a dead worker after the back-off and shows its cause of death', async () => {
    const { plane, launcher, clock } = setUp();
    const registering = plane.register(ask({ initialWorkers: 1 }));
    await settle();
    launcher.last.events.onLoaded({});
    await registering;
    launcher.last.kill({ kind: 'signal', signal: 'SIGKILL' });
    clock.advance(999);
    assert.equal(launcher.workers.length, 1);
    clock.advance(1);
    assert.equal(launcher.workers.length, 2);
    const [description] = await plane.describe('noop', undefined);
    const [worker] = description!['workers'] as Record<string, unknown>[];
    assert.equal(worker!['lastDeath'], 'killed by SIGKILL');
    assert.equal(worker!['status'], 'UNLOADING');
  });

  it('gives a worker up after the retry time, is unhealthy then, and recovers by scaling', async () => {
    const { plane, launcher, clock } = setUp();
    plane.register(ask({ initialWorkers: 1, isSynchronous: false })).catch(() => {});
    await settle();
    for (let seconds = 0; seconds < 700; seconds += 1) {
      if (launcher.last.batches.length === 0) launcher.last.events.onExit({ kind: 'exit', exitCode: 1 });
      clock.advance(60_000);
      if (!plane.isHealthy()) break;
    }
    assert.equal(plane.isHealthy(), false);
    const scaling = plane.scale({
      modelName: 'noop',
      version: undefined,
      minWorkers: 1,
      maxWorkers: 1,
      isSynchronous: true,
    });
    await settle();
    launcher.last.events.onLoaded({});
    assert.equal((await scaling).message, 'Workers scaled to 1 for model: noop');
    assert.equal(plane.isHealthy(), true);
  });

  it('scales down by stopping the newest workers', async () => {
    const { plane, launcher } = setUp();
    const registering = plane.register(ask({ initialWorkers: 3 }));
    await settle();
    for (const worker of launcher.workers) worker.events.onLoaded({});
    await registering;
    await plane.scale({ modelName: 'noop', version: undefined, minWorkers: 1, maxWorkers: 1, isSynchronous: true });
    assert.deepEqual(
      launcher.workers.map(({ stopCalls }) => stopCalls),
      [0, 1, 1],
    );
  });

  it('refuses worker counts beyond the operator’s limit, negative ones and inverted ones', async () => {
    const { plane } = setUp();
    await plane.register(ask());
    const scale = (minWorkers: number, maxWorkers: number) =>
      plane.scale({ modelName: 'noop', version: undefined, minWorkers, maxWorkers, isSynchronous: true });
    await assert.rejects(scale(1, 1_000_000), refusedWith('bad_request'));
    await assert.rejects(scale(-1, 1), refusedWith('worker_count_refused'));
    await assert.rejects(scale(2, 1), refusedWith('bad_request'));
  });

  it('keeps the first version as default until told otherwise, and protects it', async () => {
    const { plane } = setUp({}, { two: { modelVersion: '2.0' } });
    await plane.register(ask());
    await plane.register(ask({ url: 'two' }));
    await assert.rejects(plane.unregister('noop', undefined), refusedWith('default_version_removal'));
    await plane.setDefault('noop', '2.0');
    await plane.unregister('noop', '1.0');
    assert.equal((await plane.describe('noop', undefined))[0]!['modelVersion'], '2.0');
  });

  it('pages the list as TorchServe does', async () => {
    const { plane } = setUp({}, { b: { modelName: 'b' } });
    await plane.register(ask());
    await plane.register(ask({ url: 'b' }));
    assert.deepEqual(plane.list(1, 0), { nextPageToken: '1', models: [{ modelName: 'b', modelUrl: 'b' }] });
    assert.deepEqual(plane.list(100, 12), { models: [] });
  });

  it('does not let a request name code outside the archive', async () => {
    const { plane } = setUp();
    for (const handler of ['/tmp/evil/x.py:handle', '../x.py', 'shutil:rmtree', 'os:system', 'x.py;id']) {
      await assert.rejects(plane.register(ask({ handler })), refusedWith('bad_request'), handler);
    }
    await plane.register(ask({ handler: 'noop.py:other' }));
  });

  it('stops the workers of a model that was registered anew while the old one still had a request in hand', async () => {
    const { plane, launcher, shard } = setUp();
    const registerReady = async (): Promise<void> => {
      const registering = plane.register(ask({ initialWorkers: 1 }));
      await settle();
      launcher.last.events.onLoaded({});
      await registering;
    };
    await registerReady();
    const outlet = new RecordingOutlet();
    shard.submit(
      { requestId: 'r', operation: 'predict', model: 'noop', version: undefined, headers: [], parts: [] },
      outlet,
    );
    const unregistering = plane.unregister('noop', undefined);
    await registerReady();
    await plane.unregister('noop', undefined);
    assert.deepEqual(
      launcher.workers.map(({ stopCalls }) => stopCalls),
      [0, 1],
    );
    launcher.workers[0]!.answer('late');
    await unregistering;
    assert.deepEqual(outlet.heard, ['last:late']);
    assert.deepEqual(
      launcher.workers.map(({ stopCalls }) => stopCalls),
      [1, 1],
    );
  });

  it('tells whoever waits for a model’s workers that the model was unregistered', async () => {
    const { plane, released } = setUp();
    const registering = plane.register(ask({ initialWorkers: 1 }));
    const refused = assert.rejects(registering, refusedWith('model_not_found'));
    await settle();
    await plane.unregister('noop', undefined);
    await plane.register(ask());
    await refused;
    assert.deepEqual(released, ['noop.mar']);
    assert.equal((await plane.describe('noop', undefined)).length, 1);
  });

  it('starts no worker for a model that is unregistered while it is scaled', async () => {
    const { plane, launcher, clock } = setUp();
    plane.register(ask({ initialWorkers: 1, isSynchronous: false })).catch(() => {});
    await settle();
    let before = 0;
    while (before < launcher.workers.length) {
      before = launcher.workers.length;
      launcher.last.events.onExit({ kind: 'exit', exitCode: 1 });
      clock.advance(3_600_000);
    }
    const wanted = { modelName: 'noop', version: undefined, minWorkers: 3, maxWorkers: 3, isSynchronous: true };
    const scaling = plane.scale(wanted);
    const refused = assert.rejects(scaling, refusedWith('model_not_found'));
    const unregistering = plane.unregister('noop', undefined);
    await plane.register(ask());
    await Promise.all([refused, unregistering]);
    assert.equal(launcher.workers.length, before);
  });

  it('refuses registration where the operator has not enabled the model API', async () => {
    const { plane } = setUp({ isModelApiEnabled: false });
    await assert.rejects(plane.register(ask()), refusedWith('model_api_disabled'));
  });
});
