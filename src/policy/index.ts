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
export { ConnectionShares } from './connection-shares.ts';
export { Keyring } from './keyring.ts';
export { parseBearer } from './bearer.ts';
export { DEFAULT_FAILURE_LIMITS, FailureLimiter, type FailureLimits } from './failure-limiter.ts';
export { createGate, createOpenGate, type Gate } from './gate.ts';
export { ISOLATION_LEVELS, defaultLimits, underCeiling, type IsolationLevel, type WorkerLimits } from './isolation.ts';
export { ARCHITECTURES, AUDIT_ARCH, syscallNumbers, type Architecture } from './isolation-syscalls.ts';
export {
  ERRNO,
  innerFilter,
  workerFilter,
  type ArgumentRule,
  type FilterOptions,
  type FilterProfile,
  type Verdict,
} from './isolation-filter.ts';
export {
  RELAXABLE,
  acceptedFor,
  admissionVerdict,
  isDenied,
  nameMatches,
  type AdmissionVerdict,
  type Relaxation,
} from './admission.ts';
export {
  judgeTrust,
  MODEL_FORMATS,
  NO_REQUIREMENTS,
  OPEN_POLICY,
  ruleFor,
  tolerated,
  type ModelFormat,
  type Requirements,
  type SignerSource,
  type TrustDecision,
  type TrustEvidence,
  type TrustPolicy,
  type TrustRule,
} from './trust-policy.ts';
export { parseTrustPolicy } from './trust-policy-document.ts';
