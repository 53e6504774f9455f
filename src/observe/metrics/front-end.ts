// The server's own metrics (surface spec 4.3), updated from announcements. A metric exists only if metrics.yaml names it.
import type { AccessEvent, Announcements, InferenceEvent, WorkerEvent } from '../../serving/index.ts';
import { isRemoval, workerName } from '../logging/worker-lines.ts';
import type { Series } from './definition.ts';
import type { MetricSet } from './metric-set.ts';

type Subscription = { unsubscribe(): void };

export function observeFrontEnd(metrics: MetricSet, hostname: string, from: Announcements): readonly Subscription[] {
  const host = (name: string): Series | undefined => metrics.get(name)?.at(['Host', hostname]);
  const workerThreadTime = host('WorkerThreadTime');
  return [
    from.access.subscribe(accessListener(host)),
    from.inference.subscribe(inferenceListener(metrics, hostname, host('QueueTime'))),
    from.batch.subscribe((event) => workerThreadTime?.update(Math.floor(event.workerMs))),
    from.worker.subscribe(workerListener(metrics, hostname)),
  ];
}

/** REST only, and everything that is neither 2xx nor 4xx counts as 5XX. */
function accessListener(host: (name: string) => Series | undefined): (event: AccessEvent) => void {
  const [ok, refused, failed] = [host('Requests2XX'), host('Requests4XX'), host('Requests5XX')];
  return ({ listener, status }) => {
    if (listener === 'grpc-inference' || listener === 'grpc-management') return;
    if (status >= 200 && status < 300) ok?.update(1);
    else if (status >= 400 && status < 500) refused?.update(1);
    else failed?.update(1);
  };
}

interface ModelSeries {
  readonly requests: Series | undefined;
  readonly latency: Series | undefined;
  readonly queueLatency: Series | undefined;
}

function inferenceListener(
  metrics: MetricSet,
  hostname: string,
  queueTime: Series | undefined,
): (event: InferenceEvent) => void {
  const seriesOf = byModel<ModelSeries>((model, version) => {
    const series = (name: string): Series | undefined => metrics.get(name)?.at([model, version, hostname]);
    return {
      requests: series('ts_inference_requests_total'),
      latency: series('ts_inference_latency_microseconds'),
      queueLatency: series('ts_queue_latency_microseconds'),
    };
  });
  return (event) => {
    const series = seriesOf(event.model, event.requestedVersion ?? 'default');
    if (event.kind === 'accepted') return series.requests?.update(1);
    if (event.kind !== 'answered') return;
    if (!event.isRpc) {
      series.latency?.update(microseconds(event.totalMs));
      series.queueLatency?.update(microseconds(event.queueMs));
    }
    queueTime?.update(Math.floor(event.queueMs));
  };
}

function workerListener(metrics: MetricSet, hostname: string): (event: WorkerEvent) => void {
  const loadTime = metrics.get('WorkerLoadTime');
  return (event) => {
    const values = (): string[] => [workerName(event), 'Host', hostname];
    if (event.event.kind === 'loaded') loadTime?.at(values())?.update(Math.round(event.event.loadMs));
    // Worker ids are never reused, so a stopped worker's series would stay for ever.
    if (isRemoval(event)) loadTime?.remove(values());
  };
}

/** Looks up by model and version without building a key: this runs for every request. */
export function byModel<T>(create: (model: string, version: string) => T): (model: string, version: string) => T {
  const models = new Map<string, Map<string, T>>();
  return (model, version) => {
    let versions = models.get(model);
    if (versions === undefined) models.set(model, (versions = new Map()));
    let found = versions.get(version);
    if (found === undefined) versions.set(version, (found = create(model, version)));
    return found;
  };
}

/** Whole nanoseconds: sums stay readable. */
const microseconds = (milliseconds: number): number => Math.round(milliseconds * 1e6) / 1e3;
