// The operator's trust policy as configured: which models may be served, asked at every registration.
import { readFileSync, statSync } from 'node:fs';
import type { Settings } from '../config/index.ts';
import { Fault, systemClock } from '../kernel/index.ts';
import { OPEN_POLICY, parseTrustPolicy, type TrustPolicy } from '../policy/index.ts';
import type { AdmissionJudge, Announcements } from '../serving/index.ts';
import { createTrustJudge, type AdmissionThreads } from '../store/index.ts';

/** Throws `invalid_configuration`: a policy that cannot be read is never replaced by none. */
export function readTrustPolicy({ models }: Settings): TrustPolicy {
  const { trustPolicyFile } = models;
  if (trustPolicyFile === undefined) return OPEN_POLICY;
  let text: string;
  try {
    if ((statSync(trustPolicyFile).mode & 0o002) !== 0) {
      const remedy = `chmod o-w ${trustPolicyFile}`;
      throw new Fault('invalid_configuration', `Everybody can write the trust policy ${trustPolicyFile}: ${remedy}`);
    }
    text = readFileSync(trustPolicyFile, 'utf8');
  } catch (thrown) {
    if (thrown instanceof Fault) throw thrown;
    throw new Fault('invalid_configuration', `The trust policy ${trustPolicyFile} cannot be read.`, { cause: thrown });
  }
  return parseTrustPolicy(text, trustPolicyFile);
}

export function openTrustJudge(
  { models, server }: Settings,
  policy: TrustPolicy,
  threads: AdmissionThreads,
  announcements: Announcements,
): Promise<AdmissionJudge> {
  return createTrustJudge({
    policy,
    policyFile: models.trustPolicyFile,
    stateDir: server.stateDir,
    modelStores: models.stores,
    requiredScanners: new Set(models.scanners.filter(({ isRequired }) => isRequired).map(({ name }) => name)),
    makesAllImmutable: models.keepsVersions,
    threads,
    clock: systemClock,
    announce: announcements,
  });
}
