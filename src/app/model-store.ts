// The model store as configured, with the inspection that every model passes before a byte of it is loadable.
import { inspectContent, type ContentInspector } from '../archive/index.ts';
import type { Settings } from '../config/index.ts';
import { createModelStore, type LocalModelStore } from '../store/index.ts';

export function openModelStore({ models, server }: Settings): Promise<LocalModelStore> {
  return createModelStore({
    modelStores: models.stores,
    stateDir: server.stateDir,
    allowedUrls: models.allowedUrls,
    inspect,
  });
}

const inspect: ContentInspector = async (files, signal) => {
  const findings = await inspectContent(files, signal);
  return { isAllowed: findings.every(({ severity }) => severity === 'info' || severity === 'low'), findings };
};
