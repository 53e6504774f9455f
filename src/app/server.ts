// The composition root: the only place where rooms are plugged together. Reads top to bottom as a start, and backwards as a stop.
import { readFileSync } from 'node:fs';
import type { Settings } from '../config/index.ts';
import { Fault, systemClock } from '../kernel/index.ts';
import {
  createLogs,
  createMetrics,
  defaultMetricsConfig,
  parseMetricsConfig,
  rssOf,
  type MetricsConfig,
} from '../observe/index.ts';
import { Announcements, ControlPlane, Shard, type ShardEvent } from '../serving/index.ts';
import { claimStateDirectory } from '../store/index.ts';
import { createWorkerLauncher } from '../workers/index.ts';
import { openAuthorisation } from './authorisation.ts';
import { configurationDump } from './configuration-dump.ts';
import { openIsolation } from './isolation.ts';
import { openModelStore } from './model-store.ts';
import type { GrpcListeners } from '../grpc/index.ts';
import { openListeners, type ListenerDeps, type Listeners } from './listeners.ts';
import { listeningLine } from './listening-line.ts';
import { readLogPlan } from './log-plan.ts';
import { inspectMachine } from './machine.ts';
import { openPackages } from './packages.ts';
import { servingSettings } from './serving-settings.ts';
import { Snapshots } from './snapshots.ts';
import { startupModels } from './startup-models.ts';
import { SERVER_VERSION } from './version.ts';
import { workerEnv } from './worker-env.ts';

export interface RunningServer {
  readonly addresses: Listeners['addresses'];
  /** Refuses new work, finishes what was accepted within the drain time, ends workers, flushes logs. */
  stop(): Promise<void>;
}

/** Starts everything, or throws a Fault and leaves nothing running. */
export async function startServer(settings: Settings): Promise<RunningServer> {
  await using starting = new AsyncDisposableStack();
  // First of all: a second server must not replace the first one's keys before it is refused.
  starting.use(await claimStateDirectory(settings.server.stateDir));
  const machine = inspectMachine(settings);
  const announcements = new Announcements();

  const { plan, notices } = readLogPlan(settings, process.env);
  const logs = starting.use(
    await createLogs({
      announcements,
      format: settings.log.format,
      logDir: settings.log.dir,
      metricsDir: settings.log.metricsDir,
      consoleFd: 1,
      plan,
      // What SageMaker's containers set, and count failures by (surface spec 11).
      telemetryVersion: process.env['SM_TELEMETRY_LOG'] ? SERVER_VERSION : undefined,
    }),
  );
  for (const line of configurationDump(settings, machine)) logs.say('info', line);
  for (const notice of [...settings.notices, ...notices]) logs.say('warn', notice);
  const metricsConfig = readMetricsConfig(settings);
  const metrics = starting.use(
    createMetrics({
      announcements,
      mode: settings.metrics.mode,
      config: metricsConfig,
      isAutoDetecting: settings.metrics.autoDetectsModelMetrics,
      systemIntervalMs: settings.metrics.collectsSystemMetrics ? settings.metrics.systemIntervalSec * 1000 : undefined,
      writeLine: logs.metricLine,
    }),
  );

  const { gate, tokens, close: closeAuthorisation } = await openAuthorisation(settings, announcements);
  starting.defer(closeAuthorisation);

  const isolation = await openIsolation(settings, machine, logs.say);
  const launcher = createWorkerLauncher({
    cage: isolation.cage,
    clock: systemClock,
    announce: announcements,
    limitsFor: isolation.limitsFor,
    operatorEnv: workerEnv(settings, process.env),
  });
  const { store, judge, threads } = await openModelStore(settings, announcements);
  const packages = await openPackages(settings, isolation, threads);

  const shard = new Shard({
    clock: systemClock,
    announce: announcements,
    launcher,
    onEvent: (event: ShardEvent) => control.handle(event),
  });
  const control = new ControlPlane({
    settings: servingSettings(settings, machine, metricsConfig.modelMetrics),
    store,
    judge,
    packages,
    shard,
    clock: systemClock,
    announce: announcements,
    rssOf,
    gpuUsage: (gpuId) => metrics.gpuUsage(gpuId),
    isolationOf: isolation.describeFor,
  });
  starting.defer(async () => {
    store.beginShutdown();
    await control.close(settings.server.drainTimeoutMs);
  });
  await control.loadAtStartup(await startupModels(settings, store, announcements));
  const snapshots = new Snapshots({ settings, control, announcements, clock: systemClock });
  starting.defer(() => snapshots.stop());

  const report = await isolation.proven;
  const doors = {
    settings,
    gate,
    tokens,
    dataPlane: shard,
    management: control,
    isolation: () => isolation.describe(report),
    metrics,
    announcements,
  };
  const drainMs = settings.server.drainTimeoutMs;
  const open: { close(graceMs: number): Promise<void> }[] = [];
  // All doors close together: while one drains, another must not let new work in.
  starting.defer(async () => void (await Promise.all(open.map((door) => door.close(drainMs)))));
  const listeners = await openListeners(doors);
  open.push(listeners);
  if (settings.grpc.isEnabled) open.push(await openLazily(doors));
  if (settings.models.writesSnapshots) await snapshots.start();
  logs.say('info', listeningLine(settings));

  const running = starting.move();
  return { addresses: listeners.addresses, stop: () => running.disposeAsync() };
}

/** Loaded only where it is served: HTTP/2 and the messages are a tenth of a start. */
async function openLazily(doors: ListenerDeps): Promise<GrpcListeners> {
  const { openConfiguredGrpc } = await import('./grpc-listeners.ts');
  return openConfiguredGrpc(doors);
}

/** A metrics.yaml that cannot be used is a mistake of the operator's; the built-in one is never silently put in its place. */
function readMetricsConfig({ metrics }: Settings): MetricsConfig {
  if (metrics.configFile === undefined) return defaultMetricsConfig();
  try {
    return parseMetricsConfig(readFileSync(metrics.configFile, 'utf8'));
  } catch (error) {
    throw new Fault(
      'invalid_configuration',
      `Failed to load metrics configuration: ${metrics.configFile}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}
