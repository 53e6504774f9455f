// The model store as configured, with the inspection that every model passes before a byte of it is loadable, and the
// trust policy that every registration is asked about.
import type { Settings } from '../config/index.ts';
import { admissionVerdict, tolerated } from '../policy/index.ts';
import type { AdmissionJudge, Announcements } from '../serving/index.ts';
import {
  AdmissionThreads,
  createModelStore,
  createScanners,
  greetScanners,
  type LocalModelStore,
} from '../store/index.ts';
import { openTrustJudge, readTrustPolicy } from './trust.ts';

export interface Admission {
  readonly store: LocalModelStore;
  readonly judge: AdmissionJudge;
  readonly threads: AdmissionThreads;
}

export async function openModelStore(settings: Settings, announcements: Announcements): Promise<Admission> {
  const { models, server } = settings;
  const policy = readTrustPolicy(settings);
  await tellOfScanners(settings, announcements);
  const threads = new AdmissionThreads();
  const judge = await openTrustJudge(settings, policy, threads, announcements);
  // Findings that some rule accepts pass here; the rule of the model decides when its name is known.
  const accepted = tolerated(policy);
  const scan = createScanners(models.scanners);
  const store = await createModelStore({
    modelStores: models.stores,
    stateDir: server.stateDir,
    allowedUrls: models.allowedUrls,
    s3: models.s3,
    threads,
    async inspect(files, signal) {
      const findings = await threads.inspect(files, signal);
      // What is refused already is shown to nobody else: parsers of others are attacked, too.
      if (admissionVerdict(findings, accepted) === 'deny') return { isAllowed: false, findings };
      const scanned = await scan(files, signal);
      const all = [...scanned.findings, ...findings];
      return { isAllowed: admissionVerdict(all, accepted) === 'allow', findings: all };
    },
  });
  return { store, judge, threads };
}

/** One line for each scanner: a start succeeds without them, but nobody should learn at the next deployment that one is gone. */
async function tellOfScanners({ models }: Settings, { notice }: Announcements): Promise<void> {
  for (const { name, isRequired, says, why } of await greetScanners(models.scanners)) {
    if (says !== null) {
      notice.publish({ level: 'info', message: `Scanner ${name} is ready: ${says}` });
      continue;
    }
    const outcome = isRequired
      ? 'it is required, so models that it has to see are refused until it answers'
      : 'it is advisory, so models are admitted without its word';
    const message = `Scanner ${name} does not answer (${why}): ${outcome}. Start or repair it, or take it out of the scanners key.`;
    notice.publish({ level: isRequired ? 'error' : 'warn', message });
  }
}
