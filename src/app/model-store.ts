// The model store as configured, with the inspection that every model passes before a byte of it is loadable.
import type { Settings } from '../config/index.ts';
import { admissionVerdict } from '../policy/index.ts';
import { AdmissionThreads, createModelStore, createScanners, type LocalModelStore } from '../store/index.ts';

export function openModelStore({ models, server }: Settings): Promise<LocalModelStore> {
  const threads = new AdmissionThreads();
  const scan = createScanners(models.scanners);
  return createModelStore({
    modelStores: models.stores,
    stateDir: server.stateDir,
    allowedUrls: models.allowedUrls,
    s3: models.s3,
    threads,
    async inspect(files, signal) {
      const findings = await threads.inspect(files, signal);
      // What is refused already is shown to nobody else: parsers of others are attacked, too.
      if (admissionVerdict(findings) === 'deny') return { isAllowed: false, findings };
      const scanned = await scan(files, signal);
      const all = [...scanned.findings, ...findings];
      return { isAllowed: admissionVerdict(all) === 'allow', findings: all };
    },
  });
}
