// `davy status`: is the server healthy, and which models have how many ready workers.
import { type ServerOptions, callJson } from './client.ts';
import { EXIT, type Io } from './io.ts';
import { type JsonOption, allModels, modelPath } from './models.ts';
import { formatTable, printable } from './table.ts';

interface ModelStatus {
  readonly model: string;
  readonly version: string;
  readonly ready: number;
  readonly workers: number;
}

/** Exit status 0 only for a healthy server. */
export async function status(io: Io, options: ServerOptions & JsonOption): Promise<number> {
  const ping = (await callJson(io, options, { method: 'GET', path: '/ping', key: 'inference' })) as {
    status?: unknown;
  };
  const health = String(ping.status);
  const models: ModelStatus[] = [];
  for (const { modelName } of await allModels(io, options)) {
    const path = modelPath(modelName, 'all');
    const versions = await callJson(io, options, { method: 'GET', path, key: 'management' });
    models.push(...(versions as readonly Record<string, unknown>[]).map((version) => statusOf(modelName, version)));
  }
  if (options.json) io.stdout.write(`${JSON.stringify({ status: health, models }, null, 2)}\n`);
  else {
    io.stdout.write(`${printable(health)} at ${options.inference}\n`);
    const rows = models.map(({ model, version, ready, workers }) => [model, version, `${ready}/${workers}`]);
    if (rows.length > 0) io.stdout.write(formatTable(['MODEL', 'VERSION', 'READY'], rows));
  }
  return health === 'Healthy' ? EXIT.ok : EXIT.failed;
}

export function statusOf(model: string, version: Readonly<Record<string, unknown>>): ModelStatus {
  const workers = (Array.isArray(version['workers']) ? version['workers'] : []) as readonly { status?: unknown }[];
  const ready = workers.filter((worker) => worker.status === 'READY').length;
  return { model, version: String(version['modelVersion']), ready, workers: workers.length };
}
