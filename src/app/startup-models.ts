// Which models the configuration loads before the doors open (surface spec 7.5, 7.7).
import type { Settings } from '../config/index.ts';
import { Fault } from '../kernel/index.ts';
import type { ModelStore, StartupModel } from '../serving/index.ts';
import { wishesOf } from './serving-settings.ts';

export async function startupModels({ models }: Settings, store: ModelStore): Promise<readonly StartupModel[]> {
  const { startup } = models;
  if (startup.kind === 'all') return (await store.listAll()).map((url) => ({ url }));
  if (startup.models.length > 0 && models.stores.length === 0) {
    throw new Fault('invalid_configuration', 'Missing mandatory parameter --model-store');
  }
  return startup.models.map(({ location, name, defaults }) => ({
    url: location,
    ...(name === undefined ? {} : { modelName: name }),
    ...(defaults === undefined ? {} : { wishes: wishesOf(defaults) }),
  }));
}
