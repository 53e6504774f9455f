// Davy's own histograms on top of TorchServe's metrics: where the time of a request goes, in seconds.
import type { Announcements } from '../../serving/index.ts';
import type { Series } from './definition.ts';
import { byModel } from './front-end.ts';
import type { MetricSet } from './metric-set.ts';

/** From half a millisecond (an embedded model) to a minute (a language model). */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

const TIMINGS = {
  davy_request_time_seconds: 'Time from the arrival of a request to the end of its answer.',
  davy_queue_time_seconds: 'Time a request waited in its queue.',
  davy_batch_time_seconds: 'Time from sending a batch to a worker to its last result.',
  davy_handler_time_seconds: 'Time a batch spent in the handler, as the worker measured it.',
} as const;
type TimingName = keyof typeof TIMINGS;

export interface Timings {
  readonly subscriptions: readonly { unsubscribe(): void }[];
  /** A worker's own measurement of one batch. */
  handlerTook(model: string, version: string, milliseconds: number): void;
}

export function observeTimings(metrics: MetricSet, from: Announcements): Timings {
  const series = (name: TimingName): ((model: string, version: string) => Series | undefined) => {
    const definition = {
      name,
      unit: 'seconds',
      type: 'histogram',
      dimensions: ['model_name', 'model_version'],
    } as const;
    const metric = metrics.expose(definition, { buckets: BUCKETS, help: TIMINGS[name] });
    return byModel((model, version) => metric?.at([model, version]));
  };
  const [request, queue, batch, handler] = [
    series('davy_request_time_seconds'),
    series('davy_queue_time_seconds'),
    series('davy_batch_time_seconds'),
    series('davy_handler_time_seconds'),
  ];
  return {
    subscriptions: [
      from.inference.subscribe((event) => {
        if (event.kind !== 'answered') return;
        request(event.model, event.version)?.update(event.totalMs / 1000);
        queue(event.model, event.version)?.update(event.queueMs / 1000);
      }),
      from.batch.subscribe((event) => batch(event.model, event.version)?.update(event.workerMs / 1000)),
    ],
    handlerTook: (model, version, milliseconds) => handler(model, version)?.update(milliseconds / 1000),
  };
}
