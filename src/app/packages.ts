// Python packages of models, as configured (surface spec 8.5).
import { join } from 'node:path';
import type { Settings } from '../config/index.ts';
import { Fault } from '../kernel/index.ts';
import { defaultLimits } from '../policy/index.ts';
import type { PackageProvider } from '../serving/index.ts';
import { PackageFolders, type AdmissionThreads } from '../store/index.ts';
import { askWheelTags } from '../workers/index.ts';
import type { Isolation } from './isolation.ts';

/** undefined where models bring no packages. */
export async function openPackages(
  { models, workers, server }: Settings,
  { cage }: Pick<Isolation, 'cage'>,
  threads: AdmissionThreads,
): Promise<PackageProvider | undefined> {
  if (!models.installsPythonDependencies) return undefined;
  const { indexUrl, fileOrigins } = workers.packages;
  if (indexUrl === undefined) return { provide: refuse };
  const limits = defaultLimits({ memoryBytes: PROBE_MEMORY_BYTES, artifactBytes: 0, threads: 1 });
  return PackageFolders.open({
    dir: join(server.stateDir, 'packages'),
    indexUrl,
    fileOrigins,
    threads,
    ask: (interpreter, markers) => askWheelTags(cage, interpreter, markers, limits),
  });
}

/** Enough for an interpreter that judges a few hundred markers. */
const PROBE_MEMORY_BYTES = 1024 ** 3;

async function refuse(): Promise<never> {
  throw new Fault('model_error', 'pip_index_url is not set: there is no index to get packages from.');
}
