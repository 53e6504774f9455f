// The domain: names, versions, worker states, batching and serving policy. Pure.
export { parseModelName, parseModelVersion, type ModelName, type ModelVersion } from './names.ts';
export { backOffSeconds } from './back-off.ts';
export {
  initialWorkerState,
  isWorkerHealthy,
  nextWorkerState,
  torchServeStateName,
  type WorkerState,
  type WorkerTransition,
} from './worker-state.ts';
export { batchClosesInMs } from './batch-policy.ts';
export { addVersion, removeVersion, selectVersion, withDefault, type VersionSet } from './version-set.ts';
export {
  planServing,
  type ArchiveWishes,
  type CallerWishes,
  type OperatorDefaults,
  type SequencePlan,
  type ServingPlan,
} from './serving-plan.ts';
