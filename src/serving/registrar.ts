// From a reference to a registered model, and back: admission, naming, planning, the lane and the fleet of one version.
import { displayUrl, Fault, toFault, type Clock, type Finding } from '../kernel/index.ts';
import { planServing, type CallerWishes } from '../model/index.ts';
import type { Announcements } from './announcements.ts';
import { Catalog } from './catalog.ts';
import { Fleet } from './fleet.ts';
import { GpuAllocator } from './gpu-allocator.ts';
import { identify } from './identify.ts';
import { laneSpec } from './lane-spec.ts';
import type { RegisterRequest } from './management.ts';
import type { ModelRecord } from './model-record.ts';
import type { AdmissionJudge, AdmittedModel, ModelStore, PackageProvider } from './ports.ts';
import type { ServingSettings } from './serving-settings.ts';
import type { ShardControl } from './shard-protocol.ts';
import { interpreterOf, threadsPerWorker, workerSpec } from './worker-spec.ts';

export interface RegistrarOptions {
  readonly settings: ServingSettings;
  readonly store: ModelStore;
  /** Undefined: whatever the store admits may be registered. */
  readonly judge?: AdmissionJudge;
  readonly shard: ShardControl;
  readonly clock: Clock;
  readonly announce: Announcements;
  /** Undefined: models bring no packages (`install_py_dep_per_model`). */
  readonly packages?: PackageProvider | undefined;
}

/** What a snapshot knows beyond wishes: a state that the model was in (surface spec 7.7). */
export interface RestoredState {
  readonly version: string;
  readonly isDefault: boolean;
  /** Undefined: as for any model loaded at start. 0 is a state, too. */
  readonly minWorkers: number | undefined;
  readonly maxWorkers: number | undefined;
}

/** Of the time allowed for unregistering, the share in which a batch in hand may still finish. */
const GRACE_SHARE = 0.9;
/** Downloads and scans of very large models included. */
const ADMISSION_LIMIT_MS = 30 * 60_000;
/** Gigabytes of wheels over a slow line. */
const PACKAGES_LIMIT_MS = 15 * 60_000;

/** A model under its name, after all checks and before it is planned. */
type Vetted = Pick<ModelRecord, 'name' | 'version' | 'handler' | 'runtimeLabel' | 'admitted' | 'admission'>;

export class Registrar {
  readonly catalog = new Catalog();
  readonly #options: RegistrarOptions;
  readonly #gpus: GpuAllocator;
  /** What takes the memory of a version back, should its registration fail. */
  readonly #forgets = new WeakMap<ModelRecord, () => Promise<void>>();
  #nextWorkerId: number;

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#gpus = new GpuAllocator(options.settings.gpuCount);
    this.#nextWorkerId = options.settings.initialWorkerId;
  }

  /** Vets and registers; no worker is started yet. Throws what admission throws, and `version_conflict`. */
  async register(
    url: string,
    request: RegisterRequest,
    startupWishes: CallerWishes,
    isLoadedAtStartup: boolean,
  ): Promise<ModelRecord> {
    const { store, judge, settings } = this.#options;
    const signal = AbortSignal.timeout(ADMISSION_LIMIT_MS);
    const admitted = await store
      .admit(url, signal, { asksForSigning: request.s3SseKms === true })
      .catch((error: unknown) => {
        this.#tellRefusal(url, error);
        throw error;
      });
    let record: ModelRecord;
    try {
      const runtimeOf = (name: string, version: string): string | undefined =>
        startupWishes.runtimeType ?? settings.modelsJson(name, version).runtimeType;
      const identity = identify(admitted, request, settings.defaultHandler, runtimeOf);
      const admission = await judge?.judge(admitted, identity.name, identity.version, signal);
      const vetted = { ...identity, admitted, ...(admission === undefined ? {} : { admission }) };
      record = this.#enrol(vetted, request, startupWishes, isLoadedAtStartup);
    } catch (error) {
      await store.release(admitted);
      throw error;
    }
    try {
      const forget = await judge?.remember(admitted, record.name, record.version);
      if (forget !== undefined) this.#forgets.set(record, forget);
    } catch (error) {
      await this.undo(record);
      throw error;
    }
    await this.#providePackages(record, signal);
    return record;
  }

  /** The client hears the reason; the operator also what lies behind it, and every finding. */
  #tellRefusal(url: string, error: unknown): void {
    const { code, message, cause } = toFault(error);
    const findings = findingsIn(cause);
    this.#options.announce.audit.publish({
      action: 'admit_model',
      outcome: 'refused',
      principal: 'server',
      remote: undefined,
      subject: displayUrl(url),
      detail: {
        code,
        reason: message,
        ...(cause instanceof Error ? { cause: cause.message } : {}),
        ...(findings.length === 0 ? {} : { findings }),
      },
    });
  }

  /** Surface spec 3.1: a model whose packages cannot be had stays registered, without workers. */
  async #providePackages(record: ModelRecord, signal: AbortSignal): Promise<void> {
    const { packages, settings, announce } = this.#options;
    const requirementsFile = requirementsOf(record.admitted);
    if (packages === undefined || requirementsFile === undefined) return;
    const interpreter = interpreterOf(record.runtimeLabel, settings);
    try {
      const { dir: modelDir, files } = record.admitted;
      if (!files.includes(requirementsFile))
        throw new Fault('invalid_model', 'The archive has no such requirements file.');
      record.packagesDir = await packages.provide(
        { modelDir, requirementsFile, interpreter },
        AbortSignal.any([signal, AbortSignal.timeout(PACKAGES_LIMIT_MS)]),
      );
      announce.notice.publish({ level: 'info', message: `Installed custom pip packages for model ${record.name}` });
    } catch (cause) {
      record.minWorkers = 0;
      record.maxWorkers = 0;
      const message = `Custom pip package installation failed for model ${record.name}`;
      const why = cause instanceof Error ? cause.message : String(cause);
      announce.notice.publish({ level: 'error', message: `${message}: ${why}`, cause });
      throw new Fault('model_error', message, { cause });
    }
  }

  /** From an admitted model to a registered one, without a pause: of two callers with one name, exactly one succeeds. */
  #enrol(
    vetted: Vetted,
    request: RegisterRequest,
    startupWishes: CallerWishes,
    isLoadedAtStartup: boolean,
  ): ModelRecord {
    const { settings, shard, clock, announce } = this.#options;
    const { name, version, admitted } = vetted;
    // Surface spec 7.6: worker counts of `models` are for the start; a later request says its own.
    const configured = settings.modelsJson(name, version);
    const plan = planServing(
      admitted.wishes,
      { ...startupWishes, ...request },
      isLoadedAtStartup ? configured : { ...configured, minWorkers: undefined, maxWorkers: undefined },
      isLoadedAtStartup ? { ...settings, initialWorkers: settings.startupWorkers } : settings,
    );
    const fleet = new Fleet({
      key: { name, version },
      maxRetryMs: plan.maxRetryTimeoutSec * 1000,
      shard,
      clock,
      announce,
      drainMs: this.#graceMs,
      nextWorkerId: () => String(this.#nextWorkerId++),
      assignGpu: () => this.#gpus.next(plan.deviceType, plan.deviceIds),
      specFor: (workerId, gpuId) =>
        workerSpec(
          { ...vetted, plan, workerId, gpuId, threads: this.#threads(), packagesDir: record.packagesDir },
          settings,
        ),
    });
    const { minWorkers, maxWorkers } = plan;
    const record: ModelRecord = {
      ...vetted,
      plan,
      fleet,
      isLoadedAtStartup,
      packagesDir: null,
      minWorkers,
      maxWorkers,
    };
    this.catalog.add(record);
    shard.openLane(laneSpec(record, settings), this.catalog.isDefault(record));
    this.announce(record, 'registered', { digest: admitted.digest, url: admitted.url });
    for (const warning of [...admitted.warnings, ...plan.reductions]) {
      announce.notice.publish({ level: 'warn', message: `Model ${name}: ${warning}` });
    }
    return record;
  }

  /** Puts a model back into the state that a snapshot recorded. */
  restore(record: ModelRecord, { version, isDefault, minWorkers, maxWorkers }: RestoredState): void {
    const { name, plan } = record;
    if (record.version !== version) {
      const message = `${name}: the snapshot says version ${version}, the archive now is ${record.version}.`;
      this.#options.announce.notice.publish({ level: 'warn', message });
    }
    if (isDefault && !this.catalog.isDefault(record)) this.setDefault(record);
    record.minWorkers = Math.min(minWorkers ?? plan.minWorkers, this.#options.settings.maxWorkersPerModel);
    const most = Math.min(maxWorkers ?? record.minWorkers, this.#options.settings.maxWorkersPerModel);
    record.maxWorkers = Math.max(record.minWorkers, most);
  }

  /** Throws `model_not_found` or `model_version_not_found`. */
  setDefault({ name, version }: Pick<ModelRecord, 'name' | 'version'>): void {
    this.catalog.setDefault(name, version);
    this.#options.shard.setDefault({ name, version });
    this.announce(this.catalog.find(name, version), 'default_changed');
  }

  /** Starts and stops workers until their number is what the record says. Resolves when those to stop are gone. */
  resize(record: ModelRecord): Promise<void> {
    return record.fleet.resize(record.minWorkers, record.maxWorkers, this.#graceMs);
  }

  /** Takes the model out of service; what it had in hand may finish. Throws `default_version_removal`. */
  async withdraw(record: ModelRecord): Promise<void> {
    const { shard, store } = this.#options;
    this.catalog.remove(record);
    shard.closeLane(record);
    await record.fleet.close(this.#graceMs);
    await store.release(record.admitted);
    this.announce(record, 'unregistered');
  }

  /** Takes a registration back that failed. Where others have come since, the oldest of them is the default from now on. */
  async undo(record: ModelRecord): Promise<void> {
    // As long as nobody else can register this version.
    if (this.catalog.holds(record)) await this.#forget(record);
    // Somebody may have unregistered it meanwhile, and even registered it anew.
    if (!this.catalog.holds(record)) return;
    if (this.catalog.isDefault(record)) {
      const heir = this.catalog.versionsOf(record.name).find((other) => other !== record);
      if (heir !== undefined) this.setDefault(heir);
    }
    await this.withdraw(record);
  }

  /** A model that cannot be served goes, even where the disk keeps what its version was registered with. */
  async #forget(record: ModelRecord): Promise<void> {
    try {
      await this.#forgets.get(record)?.();
    } catch (cause) {
      const message = `${record.name} ${record.version} failed, and stays registered with this content: davy models forget releases it`;
      this.#options.announce.notice.publish({ level: 'error', message, cause });
    }
  }

  get #graceMs(): number {
    return this.#options.settings.unregisterTimeoutSec * 1000 * GRACE_SHARE;
  }

  #threads(): number {
    const workers = this.catalog.all.reduce((sum, { maxWorkers }) => sum + maxWorkers, 0);
    return threadsPerWorker(this.#options.settings.cpuBudget, workers);
  }

  announce(
    { name, version }: ModelRecord,
    change: Parameters<Announcements['model']['publish']>[0]['change'],
    detail?: Readonly<Record<string, unknown>>,
  ): void {
    this.#options.announce.model.publish({ model: name, version, change, ...(detail === undefined ? {} : { detail }) });
  }
}

/** `code member`, the denying ones first. The store puts them into the cause of its refusal. */
function findingsIn(cause: unknown): readonly string[] {
  if (typeof cause !== 'object' || cause === null || !('findings' in cause)) return [];
  return (cause.findings as readonly Finding[]).map(({ code, member }) => `${code} ${member}`);
}

/** Of a Python model, where its manifest names one. */
function requirementsOf({ runtime, manifest }: AdmittedModel): string | undefined {
  const model = manifest?.['model'];
  const file =
    typeof model === 'object' && model !== null ? (model as Record<string, unknown>)['requirementsFile'] : undefined;
  return runtime === 'python' && typeof file === 'string' && file !== '' ? file : undefined;
}
