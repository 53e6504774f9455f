// Which models the configuration loads before the doors open (surface spec 7.5, 7.7).
import type { Settings } from '../config/index.ts';
import { Fault } from '../kernel/index.ts';
import type { Announcements, ModelStore, StartupModel } from '../serving/index.ts';
import { wishesOf } from './serving-settings.ts';

export async function startupModels(
  { models }: Settings,
  store: ModelStore,
  announcements: Announcements,
): Promise<readonly StartupModel[]> {
  const { startup } = models;
  const wantsModels = startup.kind === 'all' || startup.models.length > 0;
  if (wantsModels && models.stores.length === 0) {
    throw new Fault('invalid_configuration', 'Missing mandatory parameter --model-store');
  }
  if (startup.kind === 'all') return (await store.listAll()).map((url) => ({ url }));
  if (startup.kind === 'snapshot' && startup.models.length === 0) {
    const message = 'Model snapshot is empty. Starting TorchServe without initial models.';
    announcements.notice.publish({ level: 'warn', message });
  }
  return startup.models.map(({ location, name, version, isDefaultVersion, defaults }) => ({
    url: location,
    ...(name === undefined ? {} : { modelName: name }),
    ...(defaults === undefined ? {} : { wishes: wishesOf(defaults) }),
    ...(version !== undefined && {
      restored: {
        version,
        isDefault: isDefaultVersion ?? false,
        minWorkers: defaults?.minWorkers,
        maxWorkers: defaults?.maxWorkers,
      },
    }),
  }));
}
