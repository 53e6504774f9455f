// Everything the control plane knows of one registered model version.
import type { ServingPlan } from '../model/index.ts';
import type { Fleet } from './fleet.ts';
import type { AdmissionRecord, AdmittedModel } from './ports.ts';

export interface ModelRecord {
  readonly name: string;
  readonly version: string;
  readonly admitted: AdmittedModel;
  /** Absent where nobody was asked. */
  readonly admission?: AdmissionRecord;
  /** From the request, else the manifest, else the configured default. */
  readonly handler: string | undefined;
  readonly runtimeLabel: string;
  readonly plan: ServingPlan;
  readonly fleet: Fleet;
  readonly isLoadedAtStartup: boolean;
  /** Packages that were installed for this model; null before, and without any. */
  packagesDir: string | null;
  /** As last scaled. */
  minWorkers: number;
  maxWorkers: number;
}
