// Security decisions as pure functions.
export {
  ANONYMOUS,
  OPEN,
  VERBS,
  parseScope,
  permits,
  scoped,
  type Permission,
  type Principal,
  type Scope,
  type Verb,
} from './permission.ts';
export { Keyring } from './keyring.ts';
export { parseBearer } from './bearer.ts';
export { DEFAULT_FAILURE_LIMITS, FailureLimiter, type FailureLimits } from './failure-limiter.ts';
export { createGate, createOpenGate, type Gate } from './gate.ts';
export { ISOLATION_LEVELS, defaultLimits, underCeiling, type IsolationLevel, type WorkerLimits } from './isolation.ts';
