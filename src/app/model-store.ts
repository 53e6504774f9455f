// The model store as configured, with the inspection that every model passes before a byte of it is loadable.
import type { Settings } from '../config/index.ts';
import { admissionVerdict } from '../policy/index.ts';
import { AdmissionThreads, createModelStore, type LocalModelStore } from '../store/index.ts';

export function openModelStore({ models, server }: Settings): Promise<LocalModelStore> {
  const threads = new AdmissionThreads();
  return createModelStore({
    modelStores: models.stores,
    stateDir: server.stateDir,
    allowedUrls: models.allowedUrls,
    threads,
    async inspect(files, signal) {
      const findings = await threads.inspect(files, signal);
      return { isAllowed: admissionVerdict(findings) === 'allow', findings };
    },
  });
}
