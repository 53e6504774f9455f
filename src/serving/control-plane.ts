// The use cases of the control plane: register, scale, describe, list, set-default, unregister. They reach the data path
// only through ShardControl, so nothing here can delay a prediction.
import { displayUrl, Fault, newRequestId } from '../kernel/index.ts';
import type { CallerWishes } from '../model/index.ts';
import type { Catalog } from './catalog.ts';
import { customizedMetadata, describeModel, type DescribeFacts } from './describe.ts';
import type {
  ManagementPlane,
  ModelDescription,
  ModelListing,
  Outcome,
  RegisterRequest,
  ScaleRequest,
} from './management.ts';
import type { ModelRecord } from './model-record.ts';
import type { WorkerSpec } from './ports.ts';
import { Registrar, type RegistrarOptions, type RestoredState } from './registrar.ts';
import type { ShardEvent } from './shard-protocol.ts';

export interface ControlPlaneOptions extends RegistrarOptions {
  /** Resident memory of a process in bytes; 0 when unknown. */
  readonly rssOf: (pid: number) => number;
  /** Utilisation and memory of a GPU in TorchServe's words (surface spec 3.3). */
  readonly gpuUsage: (gpuId: number) => string;
  /** Level and limits in force for a worker, for describe. */
  readonly isolationOf?: (spec: WorkerSpec) => Readonly<Record<string, unknown>>;
}

/** A model of the configuration (`load_models`, or a snapshot): what is loaded before the doors open. */
export interface StartupModel {
  readonly url: string;
  readonly modelName?: string;
  readonly wishes?: CallerWishes;
  /** Snapshots only. An archive that is gone then ends the start. */
  readonly restored?: RestoredState;
}

const IN_PROGRESS: Outcome = { status: 202, message: 'Processing worker updates...' };
/** Somebody scaled the model down while this caller waited (surface spec 3.1, 3.2). */
const PARTIAL: Outcome = { status: 206, message: 'Workers scaling in progress...' };

export class ControlPlane implements ManagementPlane {
  readonly #options: ControlPlaneOptions;
  readonly #registrar: Registrar;
  readonly #catalog: Catalog;

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
    this.#registrar = new Registrar(options);
    this.#catalog = this.#registrar.catalog;
  }

  async register(request: RegisterRequest): Promise<Outcome> {
    this.#requireModelApi();
    if (request.url === undefined) throw new Fault('bad_request', 'Parameter url is required.');
    const record = await this.#registrar.register(request.url, request, {}, false);
    const warnings = [...(record.admitted.configWarnings ?? []), ...record.plan.reductions];
    return { ...(await this.#startWorkers(record, request)), ...(warnings.length === 0 ? {} : { warnings }) };
  }

  async #startWorkers(record: ModelRecord, request: RegisterRequest): Promise<Outcome> {
    const { name, version, minWorkers } = record;
    if (minWorkers === 0) {
      return {
        status: 200,
        message: `Model "${name}" Version: ${version} registered with 0 initial workers. Use scale workers API to add workers for the model.`,
      };
    }
    await this.#registrar.resize(record);
    if (!request.isSynchronous) return IN_PROGRESS;
    try {
      await record.fleet.whenReady();
    } catch (fault) {
      await this.#registrar.undo(record);
      throw fault;
    }
    if (record.fleet.readyCount < minWorkers) return PARTIAL;
    return {
      status: 200,
      message: `Model "${name}" Version: ${version} registered with ${minWorkers} initial workers`,
    };
  }

  /**
   * Admits every model first and starts workers only then, so that the CPU budget is shared out over all of them.
   * A model that cannot be loaded is reported and left out; the others are served. Throws `invalid_configuration` for a
   * snapshot whose archive is gone.
   */
  async loadAtStartup(models: readonly StartupModel[]): Promise<void> {
    const records: ModelRecord[] = [];
    for (const { url, modelName, wishes, restored } of models) {
      try {
        const request = { url, isSynchronous: false, ...(modelName === undefined ? {} : { modelName }) };
        const record = await this.#registrar.register(url, request, wishes ?? {}, true);
        records.push(record);
        if (restored !== undefined) this.#registrar.restore(record, restored);
      } catch (error) {
        if (restored !== undefined && error instanceof Fault && error.code === 'model_not_found') {
          const model = `${modelName}, version :${restored.version}`;
          throw new Fault('invalid_configuration', `Model archive file for model :${model} not found in model store`);
        }
        this.#options.announce.notice.publish({
          level: 'error',
          message: `Failed to load model: ${displayUrl(url)}${error instanceof Fault ? ` (${error.message})` : ''}`,
          cause: error,
        });
      }
    }
    for (const record of records) await this.#registrar.resize(record);
  }

  async scale(request: ScaleRequest): Promise<Outcome> {
    const { modelName, version, minWorkers, maxWorkers } = request;
    const limit = this.#options.settings.maxWorkersPerModel;
    if (maxWorkers < minWorkers) throw new Fault('bad_request', 'max_worker cannot be less than min_worker.');
    const record = this.#catalog.find(modelName, version);
    if (minWorkers < 0) throw new Fault('worker_count_refused', 'min_worker cannot be negative.');
    if (maxWorkers > limit) {
      throw new Fault(
        'bad_request',
        `max_worker cannot exceed ${limit}, the limit that max_workers_per_model sets in config.properties.`,
      );
    }
    record.minWorkers = minWorkers;
    record.maxWorkers = maxWorkers;
    const resized = this.#registrar.resize(record);
    this.#registrar.announce(record, 'scaled', { minWorkers, maxWorkers });
    if (!request.isSynchronous) {
      resized.catch((error: unknown) => this.#reportBackground(error));
      return IN_PROGRESS;
    }
    await resized;
    await record.fleet.whenReady().catch((fault: unknown) => {
      throw startFaultInTheWordsOf(request, fault);
    });
    if (record.fleet.readyCount < minWorkers) return PARTIAL;
    const suffix = version === undefined ? '' : `, version: ${version}`;
    return { status: 200, message: `Workers scaled to ${minWorkers} for model: ${modelName}${suffix}` };
  }

  async describe(modelName: string, version: string | undefined): Promise<readonly ModelDescription[]> {
    const records = version === 'all' ? this.#catalog.versionsOf(modelName) : [this.#catalog.find(modelName, version)];
    return Promise.all(records.map((record) => this.#describeOne(record)));
  }

  async describeCustomized(
    modelName: string,
    version: string | undefined,
    headers: readonly (readonly [string, string])[],
  ): Promise<readonly ModelDescription[]> {
    if (version === 'all') return this.describe(modelName, version);
    const record = this.#catalog.find(modelName, version);
    const described = await this.#describeOne(record);
    const reply = await this.#options.shard.describe(record, newRequestId(), headers);
    const text = Buffer.concat(reply.body).toString('utf8');
    return [{ ...described, ...customizedMetadata(text) }];
  }

  list(limit: number, pageToken: number): ModelListing {
    return this.#catalog.list(limit, pageToken);
  }

  async setDefault(modelName: string, version: string): Promise<Outcome> {
    this.#registrar.setDefault({ name: modelName, version });
    return { status: 200, message: `Default version successfully updated for model "${modelName}" to "${version}"` };
  }

  async unregister(modelName: string, version: string | undefined): Promise<Outcome> {
    this.#requireModelApi();
    const record = this.#catalog.find(modelName, version);
    if (this.#options.settings.unregisterTimeoutSec <= 0 && record.fleet.workers.length > 0) {
      throw new Fault('worker_stop_timeout', `Timed out while cleaning resources: ${modelName}`);
    }
    await this.#registrar.withdraw(record);
    return { status: 200, message: `Model "${modelName}" unregistered` };
  }

  hasWorkers(modelName: string): boolean {
    return this.#catalog.find(modelName, undefined).fleet.workers.length > 0;
  }

  isHealthy(): boolean {
    return this.#catalog.defaults.every(({ fleet, minWorkers }) => fleet.healthyCount >= minWorkers);
  }

  /** The model that `/invocations` means when it names none (surface spec 2.1). */
  get soleStartupModel(): string | undefined {
    const [first, ...others] = new Set(
      this.#catalog.all.filter(({ isLoadedAtStartup }) => isLoadedAtStartup).map(({ name }) => name),
    );
    return others.length === 0 ? first : undefined;
  }

  /** Every registered version, for snapshots and for whoever shows the whole state. */
  get records(): readonly ModelRecord[] {
    return this.#catalog.all;
  }

  isDefault(record: ModelRecord): boolean {
    return this.#catalog.isDefault(record);
  }

  /** What the data path reports about its workers. */
  handle(event: ShardEvent): void {
    this.#recordOf(event)?.fleet.handle(event);
  }

  /** Stops every worker; a batch in hand may finish within `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await Promise.all(this.#catalog.all.map((record) => record.fleet.close(graceMs)));
    await Promise.all(this.#catalog.all.map((record) => this.#options.store.release(record.admitted)));
  }

  async #describeOne(record: ModelRecord): Promise<ModelDescription> {
    const { settings, rssOf, gpuUsage, shard, isolationOf } = this.#options;
    const facts: DescribeFacts = {
      stats: await shard.stats(record),
      isDebug: settings.isDebug,
      gpuCount: settings.gpuCount,
      rssOf,
      gpuUsage,
      isolation: isolationOf?.(record.fleet.spec),
    };
    return describeModel(record, facts);
  }

  #recordOf({ name, version }: ShardEvent): ModelRecord | undefined {
    return this.#catalog.has(name, version) ? this.#catalog.find(name, version) : undefined;
  }

  #requireModelApi(): void {
    if (this.#options.settings.isModelApiEnabled) return;
    throw new Fault('model_api_disabled', 'Requested method is not allowed, please refer to API document.');
  }

  #reportBackground(error: unknown): void {
    this.#options.announce.notice.publish({ level: 'error', message: 'A worker update failed.', cause: error });
  }
}

/** A scale without a version says `version: null`, as Java does (surface spec 3.2). */
function startFaultInTheWordsOf({ modelName, version }: ScaleRequest, fault: unknown): unknown {
  if (!(fault instanceof Fault) || fault.code === 'model_not_found') return fault;
  return new Fault(fault.code, `Failed to start workers for model ${modelName} version: ${version ?? null}`, {
    cause: fault.cause,
  });
}
