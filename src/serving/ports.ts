// What serving needs from the rooms beside it. `workers` and `store` implement these; `app` plugs them in.
import type { Fault, Finding } from '../kernel/index.ts';
import type { ArchiveWishes } from '../model/index.ts';
import type { Header, Operation, InputPart, Reply } from './inference.ts';

export type Runtime = 'python' | 'onnx' | 'node';

/** A model that has been admitted: unpacked, read-only, known by digest. */
export interface AdmittedModel {
  /** The reference exactly as it was given. */
  readonly url: string;
  /** By which a later start of the server finds this model: a path in the model store where it lies there, else the URL. */
  readonly location: string;
  /** Lower-case hex sha256 of the archive (of the sorted file list for a directory). */
  readonly digest: string;
  /** Absolute path of the unpacked files. */
  readonly dir: string;
  /** All its files together. */
  readonly bytes: number;
  readonly manifest: Readonly<Record<string, unknown>> | null;
  /** From the manifest; undefined where it names none. */
  readonly modelName: string | undefined;
  /** `1.0` where the manifest names none. */
  readonly modelVersion: string;
  readonly runtime: Runtime;
  /** The runtime word as the manifest spells it (`python`, `python3`, `onnx`, `node`), for describe. */
  readonly runtimeLabel: string;
  readonly handler: string | undefined;
  /** Names of every file in the unpacked archive, relative, `/`-separated. */
  readonly files: readonly string[];
  /** Parsed model-config.yaml for the worker; null without one. */
  readonly config: Readonly<Record<string, unknown>> | null;
  /** The serving keys of that file that were valid; null without one (surface spec 8.3). */
  readonly wishes: ArchiveWishes | null;
  /** The name to register under when neither the request nor the manifest gives one (surface spec 7.5). */
  readonly fallbackName: string;
  /** Findings worth showing the operator. */
  readonly warnings: readonly string[];
  /** Of these, what concerns serving keys of model-config.yaml that are wrong and therefore ignored. */
  readonly configWarnings?: readonly string[];
  /** All that the inspection and the scanners found. */
  readonly findings?: readonly Finding[];
}

/** What was decided about a model under the name that it is served by. Kept with it, and shown by describe. */
export interface AdmissionRecord {
  readonly verdict: 'allow' | 'deny';
  /** `sha256:` and lower-case hex. */
  readonly digest: string;
  /** The rule of the trust policy that decided. */
  readonly rule: string;
  /** Who signed it, where the rule asked for a signature. */
  readonly signer?: { readonly name: string; readonly method: string; readonly identity: string };
  readonly findings: readonly Finding[];
}

/** The operator's trust policy, asked for every registration. */
export interface AdmissionJudge {
  /** Throws `archive_refused`, or `version_conflict` for a version whose content may not change. */
  judge(model: AdmittedModel, name: string, version: string, signal: AbortSignal): Promise<AdmissionRecord>;
  /**
   * The model is registered: its version keeps this content where the policy says so. Throws `version_conflict`.
   * Resolves with what takes that back, for a registration that fails after all.
   */
  remember(model: AdmittedModel, name: string, version: string): Promise<() => Promise<void>>;
}

export interface AdmitOptions {
  /** `s3_sse_kms`: the caller wants the download signed. It is, where the host is one of S3's. */
  readonly asksForSigning?: boolean;
}

/** Resolves, fetches, vets and unpacks. Everything it gives out stays on disk until released. */
export interface ModelStore {
  /** Throws Faults: `bad_request`, `model_not_found`, `source_not_allowed`, `download_failed`, `archive_refused`, `invalid_model`, … */
  admit(url: string, signal: AbortSignal, options?: AdmitOptions): Promise<AdmittedModel>;
  /** Gives the unpacked files back; the last release removes them. */
  release(model: AdmittedModel): Promise<void>;
  /** File and directory names that `load_models=all` means (surface spec 7.5). */
  listAll(): Promise<readonly string[]>;
}

export interface PackageRequest {
  readonly modelDir: string;
  /** Relative to `modelDir`, as the manifest names it. */
  readonly requirementsFile: string;
  readonly interpreter: string;
}

/** Gets the Python packages that a model's requirements file names, before any of its workers starts (surface spec 8.5). */
export interface PackageProvider {
  /** A read-only folder for the search path of that model's workers. Throws when it cannot be had as it is pinned. */
  provide(request: PackageRequest, signal: AbortSignal): Promise<string>;
}

/** Everything one worker process needs to know. Data only, so that it could cross a process boundary. */
export interface WorkerSpec {
  /** TorchServe's worker id: a number counting up from 9000, as text. */
  readonly workerId: string;
  readonly runtime: Runtime;
  /** Interpreter for `python`, by path or name. */
  readonly interpreter: string | undefined;
  readonly dir: string;
  /** Packages of the model's own; null without any. */
  readonly packagesDir: string | null;
  readonly threads: number;
  readonly gpuId: number | null;
  readonly startupTimeoutMs: number;
  readonly responseTimeoutMs: number;
  readonly maxResponseBytes: number;
  /** Size of the model's files, by which the memory limit is measured. */
  readonly artifactBytes: number;
  /** `limits` of model-config.yaml as the archive wrote it: it may lower limits, and nothing else. */
  readonly askedLimits: unknown;
  /** The `load.model` object of docs/worker-protocol.md. */
  readonly load: Readonly<Record<string, unknown>>;
}

export interface BatchItem {
  readonly requestId: string;
  readonly headers: readonly Header[];
  readonly parts: readonly InputPart[];
  readonly isCached?: boolean;
  readonly sequenceId?: string;
}

/** Why a worker process ended. Shown by describe and in the log. */
export type DeathCause =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'exit'; readonly exitCode: number }
  | { readonly kind: 'signal'; readonly signal: string }
  | { readonly kind: 'out_of_memory' }
  | { readonly kind: 'over_limit'; readonly limit: 'tasks' | 'tmp' }
  | { readonly kind: 'startup_timeout'; readonly afterMs: number }
  | { readonly kind: 'response_timeout'; readonly afterMs: number }
  | { readonly kind: 'load_failed'; readonly isOutOfMemory: boolean; readonly message: string }
  | { readonly kind: 'protocol'; readonly offence: string }
  | { readonly kind: 'oversize_response'; readonly bytes: number }
  | { readonly kind: 'spawn_failed'; readonly message: string };

/** What a worker process tells the lane that owns it. Called synchronously as frames arrive. */
export interface WorkerEvents {
  onStarted(pid: number): void;
  onLoaded(metadata: { readonly inputs?: unknown; readonly outputs?: unknown }): void;
  /** The bodies that `run` was given have left this process. Small ones are copied at once, and nothing is said of them. */
  onSent(batchId: number): void;
  /** An intermediate piece of one item's streamed answer. */
  onPiece(batchId: number, index: number, reply: Reply): void;
  /** Every item's last word for this batch: a reply (with `more` when the job stays), or its own fault. */
  onDone(batchId: number, results: readonly (BatchResult | Fault)[]): void;
  /** The batch failed as a whole. */
  onBatchFault(batchId: number, fault: Fault): void;
  onMetrics(samples: readonly unknown[]): void;
  /** Text on stdout and stderr above the worker's output rate was thrown away. At most once a second. */
  onOutputDropped(bytes: number): void;
  /** The process is gone, with everything it had in hand. Called exactly once. */
  onExit(cause: DeathCause): void;
}

export interface BatchResult {
  readonly reply: Reply;
  readonly more: boolean;
}

/** The server's end of one worker process. */
export interface WorkerHandle {
  readonly pid: number | undefined;
  run(batchId: number, operation: Operation, items: readonly BatchItem[]): void;
  cancel(batchId: number, indices: readonly number[]): void;
  /** Asks politely, kills the process group after `graceMs`; resolves when the process is gone. */
  stop(graceMs: number): Promise<void>;
  /** Ends the process group now; `onExit` reports `cause`. */
  kill(cause: DeathCause): void;
}

export interface WorkerLauncher {
  launch(spec: WorkerSpec, events: WorkerEvents): WorkerHandle;
}
