// The model store as configured, with the inspection that every model passes before a byte of it is loadable.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { inspectContent, type ContentInspector } from '../archive/index.ts';
import type { Settings } from '../config/index.ts';
import { createModelStore, type LocalModelStore } from '../store/index.ts';

export function openModelStore({ models, server, management }: Settings): Promise<LocalModelStore> {
  return createModelStore({
    modelStores: models.stores,
    stateDir: join(server.stateDir, instanceName(management.address.text)),
    allowedUrls: models.allowedUrls,
    inspect,
  });
}

/** Two servers of one user cannot share a management address, so it names a directory that is this server's alone. */
const instanceName = (address: string): string => createHash('sha256').update(address).digest('hex').slice(0, 16);

const inspect: ContentInspector = async (files, signal) => {
  const findings = await inspectContent(files, signal);
  return { isAllowed: findings.every(({ severity }) => severity === 'info' || severity === 'low'), findings };
};
