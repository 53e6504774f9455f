// The life of one worker as a pure state machine (surface spec 10.2, 10.4). Times are milliseconds on the injected clock.
import { backOffSeconds } from './back-off.ts';

/** The present outage: since when, and how many restarts it has seen. Survives restarts, ends with a successful load. */
export interface Outage {
  readonly sinceMs: number;
  readonly attempts: number;
}

export type WorkerState =
  | { readonly kind: 'starting'; readonly outage: Outage | null }
  | { readonly kind: 'ready' }
  | { readonly kind: 'waiting'; readonly outage: Outage; readonly retryInSeconds: number }
  | { readonly kind: 'failed'; readonly outage: Outage }
  | { readonly kind: 'stopping' };

export type WorkerTransition =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'died'; readonly nowMs: number; readonly maxRetryMs: number }
  | { readonly kind: 'retry' }
  | { readonly kind: 'stop' };

export const initialWorkerState: WorkerState = { kind: 'starting', outage: null };

export function nextWorkerState(state: WorkerState, transition: WorkerTransition): WorkerState {
  if (state.kind === 'stopping') return state;
  switch (transition.kind) {
    case 'loaded':
      return { kind: 'ready' };
    case 'died':
      return afterDeath(outageOf(state), transition.nowMs, transition.maxRetryMs);
    case 'retry':
      return { kind: 'starting', outage: outageOf(state) };
    case 'stop':
      return { kind: 'stopping' };
  }
}

function afterDeath(outage: Outage | null, nowMs: number, maxRetryMs: number): WorkerState {
  const current = outage ?? { sinceMs: nowMs, attempts: 0 };
  if (nowMs - current.sinceMs >= maxRetryMs) return { kind: 'failed', outage: current };
  return {
    kind: 'waiting',
    outage: { sinceMs: current.sinceMs, attempts: current.attempts + 1 },
    retryInSeconds: backOffSeconds(current.attempts),
  };
}

const outageOf = (state: WorkerState): Outage | null => ('outage' in state ? state.outage : null);

/** TorchServe's word for the state in its logs. */
export function torchServeStateName(state: WorkerState): string {
  switch (state.kind) {
    case 'starting':
      return 'WORKER_STARTED';
    case 'ready':
      return 'WORKER_MODEL_LOADED';
    case 'waiting':
      return 'WORKER_STOPPED';
    case 'failed':
      return 'WORKER_ERROR';
    case 'stopping':
      return 'WORKER_SCALED_DOWN';
  }
}

/** Surface spec 2.2: healthy unless its outage has lasted as long as retries are made. */
export function isWorkerHealthy(state: WorkerState, nowMs: number, maxRetryMs: number): boolean {
  const outage = outageOf(state);
  return state.kind !== 'failed' && (outage === null || nowMs - outage.sinceMs < maxRetryMs);
}
