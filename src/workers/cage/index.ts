// The cage: every worker process starts through it.
export type { Cage, CageOptions, CagePlan, CagedCommand, WrapRequest } from './contract.ts';
export { createCage } from './create.ts';
export { endGroup, spawnCaged } from './spawn.ts';
export { assertContained, runBootProbes, type ProbeOptions, type ProbeReport } from './probes.ts';
export { adviceFor, describeIsolation, type IsolationDescription } from './describe.ts';
export { openProbeTarget, type ProbeTarget } from './probe-target.ts';
