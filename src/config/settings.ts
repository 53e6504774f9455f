// The shape of the whole configuration: parsed, validated, frozen. Other rooms read this and nothing else.
import type { Secret } from '../kernel/index.ts';

/** Where one REST listener binds (surface spec 1.2). `text` is the address as the operator wrote it. */
export type Address =
  | {
      readonly kind: 'tcp';
      readonly scheme: 'http' | 'https';
      readonly host: string;
      readonly port: number;
      readonly text: string;
    }
  | { readonly kind: 'unix'; readonly path: string; readonly text: string };

/** Where one value came from: `where` is `config.properties:12`, `TS_JOB_QUEUE_SIZE`, `--model-store` or empty for defaults. */
export interface Origin {
  readonly source: 'default' | 'file' | 'env' | 'flag' | 'snapshot';
  readonly where: string;
}

export interface GrpcListener {
  readonly host: string;
  readonly port: number;
  /** Undefined: connections may live for ever. */
  readonly maxConnectionAgeMs: number | undefined;
  readonly maxConnectionAgeGraceMs: number | undefined;
}

/** Batching, worker counts and timeouts that the operator gives one model version. Undefined: not given (values <= 0 count as not given). */
export interface ModelDefaults {
  readonly minWorkers: number | undefined;
  readonly maxWorkers: number | undefined;
  readonly batchSize: number | undefined;
  readonly maxBatchDelayMs: number | undefined;
  readonly responseTimeoutSec: number | undefined;
  readonly startupTimeoutSec: number | undefined;
  readonly runtimeType: string | undefined;
  readonly parallelLevel: number | undefined;
}

/** One model to load at start. */
export interface StartupModel {
  /** Undefined: the manifest, else the location, names it. */
  readonly name: string | undefined;
  /** Archive location: a file in the model store, a directory in it, or a URL. */
  readonly location: string;
  /** Snapshots only. */
  readonly version?: string;
  readonly isDefaultVersion?: boolean;
  readonly defaults?: ModelDefaults;
}

/** What is loaded at start. `snapshot` comes from `model_snapshot`; a file missing from the store is then fatal (surface spec 7.7). */
export type StartupModels =
  | { readonly kind: 'all' }
  | { readonly kind: 'list'; readonly models: readonly StartupModel[] }
  | { readonly kind: 'snapshot'; readonly models: readonly StartupModel[] };

/** One scanner of models (docs/admission.md). */
export type ScannerSettings = {
  readonly name: string;
  readonly isRequired: boolean;
  /** For one file. */
  readonly timeoutMs: number;
  /** Lower-case extensions without the dot; undefined: every file. */
  readonly only: readonly string[] | undefined;
  readonly skip: readonly string[];
  readonly allowsUnknown: boolean;
} & (
  | {
      readonly kind: 'clamd';
      readonly address: { readonly path: string } | { readonly host: string; readonly port: number };
      readonly maxBytes: number;
    }
  | {
      readonly kind: 'virustotal';
      readonly apiKey: Secret;
      readonly minDetections: number;
      /** Ends in `/`. */
      readonly endpoint: string;
    }
  | { readonly kind: 'executable'; readonly argv: readonly string[]; readonly field: string; readonly clean: string }
  | {
      readonly kind: 'http';
      readonly url: string;
      readonly token: Secret | undefined;
      readonly field: string;
      readonly clean: string;
    }
);

/** Object storage that asks for signed requests. Undefined credentials: unsigned. */
export interface S3Settings {
  readonly accessKeyId: string | undefined;
  readonly secretAccessKey: Secret | undefined;
  readonly sessionToken: Secret | undefined;
  readonly region: string;
  /** Origin of a store that speaks the protocol of S3; undefined: Amazon's own. */
  readonly endpoint: string | undefined;
}

export type IsolationLevel = 'strict' | 'process' | 'none';

export interface Settings {
  readonly inference: { readonly address: Address };
  readonly management: { readonly address: Address };
  /** `isEnabled` false: no metrics listener and no `/metrics` on a combined one. */
  readonly metrics: {
    readonly isEnabled: boolean;
    readonly address: Address;
    readonly mode: 'log' | 'prometheus' | 'legacy';
    /** Path of metrics.yaml; undefined: the built-in one. */
    readonly configFile: string | undefined;
    readonly autoDetectsModelMetrics: boolean;
    readonly collectsSystemMetrics: boolean;
    readonly systemMetricsCommand: string | undefined;
    readonly systemIntervalSec: number;
  };
  /** One listener serves both planes: the two addresses are equal but for their scheme (surface spec 1.4). */
  readonly isCombined: boolean;
  readonly grpc: {
    readonly isEnabled: boolean;
    readonly usesTls: boolean;
    readonly inference: GrpcListener;
    readonly management: GrpcListener;
  };
  readonly openInferenceProtocol: { readonly isEnabled: boolean };

  /** Connection and body limits of every REST listener; the two sizes also bound gRPC messages. */
  readonly http: {
    readonly maxRequestBytes: number;
    readonly maxResponseBytes: number;
    /** Per listener. */
    readonly maxConnections: number;
    readonly headerTimeoutMs: number;
    readonly bodyTimeoutMs: number;
    readonly idleTimeoutMs: number;
    /** Copied verbatim into every response where non-empty (surface spec 6.8). */
    readonly cors: { readonly origin: string; readonly methods: string; readonly headers: string };
    readonly allowsInsecureBind: boolean;
    /** Names besides its own under which a loopback listener may be called. */
    readonly allowedHosts: readonly string[];
  };
  readonly tls: {
    /** PEM file; undefined: no client certificates are asked for. */
    readonly clientAuthorityFile: string | undefined;
    readonly keystore: { readonly path: string; readonly type: string; readonly password: Secret } | undefined;
    /** PEM pair; used where `keystore` is undefined. Neither: an https address does not start. */
    readonly pem: { readonly privateKeyFile: string; readonly certificateFile: string } | undefined;
  };

  readonly auth: {
    /** False only when the operator switched token authorisation off. */
    readonly requiresToken: boolean;
    /** Lifetime of the two `key_file.json` keys; may be a fraction. */
    readonly tokenLifetimeMin: number;
    readonly failureStatus: 'torchserve' | 'rfc';
    readonly pingRequiresToken: boolean;
    readonly isModelApiEnabled: boolean;
  };

  readonly models: {
    /** Absolute directories; the first is where downloads of TorchServe went. Empty: no store is configured. */
    readonly stores: readonly string[];
    /** Absolute; defaults to the first model store. */
    readonly workflowStore: string | undefined;
    readonly startup: StartupModels;
    /** By registered name, then version (surface spec 7.6). */
    readonly defaults: ReadonlyMap<string, ReadonlyMap<string, ModelDefaults>>;
    /** Regular expressions a model URL must match as a whole; empty: no URL at all. */
    readonly allowedUrls: readonly string[];
    readonly s3: S3Settings;
    /** All look at every model before it is loadable. */
    readonly scanners: readonly ScannerSettings[];
    /** Absolute path of the trust policy; undefined: none. */
    readonly trustPolicyFile: string | undefined;
    /** Every name and version keeps its content, whatever the trust policy says. */
    readonly keepsVersions: boolean;
    readonly installsPythonDependencies: boolean;
    readonly writesSnapshots: boolean;
    /** Handler for archives that name none. */
    readonly defaultHandler: string | undefined;
    /** Overwrites the manifest's envelope where set. */
    readonly serviceEnvelope: string | undefined;
  };

  readonly queue: {
    /** Requests waiting per model version. */
    readonly maxJobs: number;
    /** Bytes of request bodies waiting per model version. */
    readonly maxBytes: number;
    /** A batch that fails as a whole, or kills its worker, is run once more item by item. */
    readonly retriesFailedBatches: boolean;
  };

  readonly workers: {
    /** 0: GPUs, else CPUs, for models loaded at start; none for models registered by the API (surface spec 7.4). */
    readonly defaultPerModel: number;
    /** Ceiling of any scale or register request. */
    readonly maxPerModel: number;
    readonly responseTimeoutSec: number;
    readonly startupTimeoutSec: number;
    /** Ceiling of both for any model; undefined: none. */
    readonly maxTimeoutSec: number | undefined;
    /** How long unregister waits for workers to end. */
    readonly stopTimeoutSec: number;
    /** Interpreter of `runtime: python`: a path, or a name looked up in PATH. */
    readonly python: string;
    /** Where packages of models come from. */
    readonly packages: { readonly indexUrl: string | undefined; readonly fileOrigins: readonly string[] };
    readonly isolation: IsolationLevel;
    /** Ceilings of every worker; undefined: derived from the machine and the model. Sizes in bytes. */
    readonly limits: {
      readonly memoryBytes: number | undefined;
      readonly tasks: number | undefined;
      /** `auto`: not limited. */
      readonly cpus: number | 'auto';
      readonly fileBytes: number;
      readonly tmpBytes: number;
      readonly openFiles: number;
      readonly outputBytesPerSecond: number;
    };
    /** Requests after which a worker is replaced; 0: never. */
    readonly maxRequests: number;
    /** First uid of workers where the server is root. */
    readonly firstUid: number;
    readonly allowsSubprocess: boolean;
    /** Honoured at `strict` only. */
    readonly allowsUnixSockets: boolean;
    /** Names of environment variables that workers get beside the built-in list. */
    readonly envAllow: readonly string[];
    /** Whole-name match withholds a variable, allowed or not. */
    readonly envDeny: RegExp | undefined;
    /** CPU threads shared out over all workers; `auto`: what the cgroup grants. May be a fraction. */
    readonly cpuBudget: number | 'auto';
    /** At most this many GPUs; undefined: all that are found. */
    readonly maxGpus: number | undefined;
    readonly firstWorkerId: number;
    readonly firstDistributionPort: number;
    readonly limitsImagePixels: boolean;
    readonly decodesInput: boolean;
    /** Header names by which requests of one sequence are grouped. */
    readonly sequenceHeaders: { readonly id: string; readonly start: string; readonly end: string };
    readonly ipex: { readonly isEnabled: boolean; readonly isGpuEnabled: boolean };
    readonly cpuLauncher: { readonly isEnabled: boolean; readonly args: string | undefined };
  };

  readonly log: {
    readonly format: 'text' | 'json';
    /** log4j2 XML, from `--log-config`. */
    readonly configFile: string | undefined;
    /** Absolute directory of log files (LOG_LOCATION, else `logs`). */
    readonly dir: string;
    /** Absolute directory of metrics log files (METRICS_LOCATION, else `logs`). */
    readonly metricsDir: string;
  };

  /** Where the process lives. All paths absolute. */
  readonly server: {
    /** `key_file.json` and relative paths belong here. */
    readonly cwd: string;
    readonly tempDir: string;
    /** Unpacked models, sockets, everything that is ours; 0700. */
    readonly stateDir: string;
    /** Undefined: none was read. */
    readonly configFile: string | undefined;
    /** How long accepted requests may take to finish once a stop was asked for. */
    readonly drainTimeoutMs: number;
    readonly isDebug: boolean;
  };

  /** Keys that Davy does not know, as written (TorchServe hands them to plugins). */
  readonly unknown: ReadonlyMap<string, string>;
  /** Lines for the operator at start: ignored keys, dangerous values, features that are not there yet. */
  readonly notices: readonly string[];
  /** Where the value of a key of config.properties came from; unknown keys throw. */
  origin(key: string): Origin;
  /** Every known key with its effective value as text (secrets hidden), for `davy config`. */
  effective(): readonly EffectiveValue[];
}

export interface EffectiveValue {
  readonly key: string;
  /** Undefined: not set. */
  readonly value: string | undefined;
  readonly origin: Origin;
  /** A snapshot can never set it. */
  readonly isSecurity: boolean;
  /** `value` only says that there is one. */
  readonly isSecret: boolean;
}
