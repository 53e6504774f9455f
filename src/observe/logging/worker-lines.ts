// What a worker's life looks like in the log. The texts are TorchServe's where tests and alerts grep them (surface spec 10.2, 10.4, 11).
import { describeDeath, type DeathCause, type WorkerEvent } from '../../serving/index.ts';
import type { Clock } from '../../kernel/index.ts';
import type { LogLevel } from './layout.ts';

export interface WorkerLine {
  readonly level: LogLevel;
  readonly logger: string;
  readonly message: string;
}

const THREAD = 'org.pytorch.serve.wlm.WorkerThread';
const SCALED_DOWN = 'WORKER_SCALED_DOWN';
const INIT_EXCEPTION = 'org.pytorch.serve.wlm.WorkerInitializationException';
/** What TorchServe's monitoring thread ends with when a worker that served is gone. */
const LOST_EXCEPTION = 'java.lang.InterruptedException';

export const workerName = (event: Pick<WorkerEvent, 'workerId' | 'model' | 'version'>): string =>
  `W-${event.workerId}-${event.model}_${event.version}`;

/** The worker's last state: its id will not come back. */
export const isRemoval = ({ event }: WorkerEvent): boolean => event.kind === 'state' && event.to === SCALED_DOWN;

/** Words events of workers; remembers which workers are in an outage. */
export class WorkerLines {
  readonly #clock: Clock;
  /** Workers that have stopped and not loaded since. */
  readonly #inOutage = new Set<string>();
  readonly #telemetryVersion: string | undefined;

  /** `telemetryVersion` as LogOptions has it. */
  constructor(clock: Clock, telemetryVersion?: string) {
    this.#clock = clock;
    this.#telemetryVersion = telemetryVersion;
  }

  /** Lines in the order they belong in. Output lines are not worded here. */
  linesFor(event: WorkerEvent): readonly WorkerLine[] {
    const name = workerName(event);
    const what = event.event;
    switch (what.kind) {
      case 'state':
        // A worker that was waiting for its retry is stopped without dying once more.
        if (isRemoval(event)) this.#inOutage.delete(name);
        return [line('info', `${name} State change ${what.from} -> ${what.to}`)];
      case 'loaded':
        return [
          line('info', `${name} loaded its model in ${Math.round(what.loadMs)} ms`),
          ...(this.#inOutage.delete(name) ? [line('info', 'Auto recovery succeeded, reset recoveryStartTS')] : []),
        ];
      case 'died':
        return [...deathLines(event.workerId, name, what.cause), ...this.#telemetryLines(what.cause)];
      case 'retry':
        return [
          ...this.#outageLines(name),
          line('info', `Retry worker: ${event.workerId} in ${what.inSeconds} seconds.`),
        ];
      case 'gave_up':
        this.#inOutage.delete(name);
        return [
          line(
            'error',
            `${name} was down for longer than maxRetryTimeoutInSec and is not retried; scale its model to start it again`,
          ),
        ];
      case 'unsuccessful_inference':
        return [line('info', `Number or consecutive unsuccessful inference ${what.consecutive}`)];
      case 'output':
        return [];
    }
  }

  #telemetryLines(cause: DeathCause): WorkerLine[] {
    if (this.#telemetryVersion === undefined || cause.kind === 'stopped') return [];
    const exception = initFailureText(cause) === undefined ? LOST_EXCEPTION : INIT_EXCEPTION;
    const message = `ModelServerError.Count:1|#TorchServe:${this.#telemetryVersion},${exception}:-1`;
    return [{ level: 'info', logger: 'TELEMETRY_METRICS', message }];
  }

  #outageLines(name: string): WorkerLine[] {
    if (this.#inOutage.has(name)) return [line('info', 'Auto recovery failed again')];
    this.#inOutage.add(name);
    return [line('info', `Auto recovery start timestamp: ${Math.floor(this.#clock.wallTime())}`)];
  }
}

function deathLines(workerId: string, name: string, cause: DeathCause): WorkerLine[] {
  const disconnected = line('info', `${workerId} Worker disconnected. ${name} ${describeDeath(cause)}`);
  const initFailure = initFailureText(cause);
  if (initFailure !== undefined) {
    return [line('error', 'Backend worker error'), line('error', `${INIT_EXCEPTION}: ${initFailure}`), disconnected];
  }
  if (cause.kind === 'stopped') return [disconnected];
  if (cause.kind === 'oversize_response') {
    return [
      line('error', `Message size exceed limit: ${cause.bytes}`),
      line('error', "Consider increasing the 'max_response_size' in 'config.properties' to fix."),
      disconnected,
    ];
  }
  return [line('error', `Backend worker error: ${name} ${describeDeath(cause)}`), disconnected];
}

/** Set for a worker that never got as far as serving. */
function initFailureText(cause: DeathCause): string | undefined {
  switch (cause.kind) {
    case 'startup_timeout':
      return 'Backend worker did not respond in given time';
    case 'load_failed':
      return `Backend worker could not load its model: ${cause.message}`;
    case 'spawn_failed':
      return `Backend worker could not be started: ${cause.message}`;
    default:
      return undefined;
  }
}

const line = (level: LogLevel, message: string): WorkerLine => ({ level, logger: THREAD, message });
