// The control plane as the doors see it: the same use cases for REST, gRPC, the command line and start-up.

export interface RegisterRequest {
  /** Archive location as the caller wrote it. Undefined: `Parameter url is required.` */
  readonly url: string | undefined;
  readonly modelName?: string;
  readonly handler?: string;
  readonly runtime?: string;
  /** Milliseconds, counts and seconds; undefined means "not given". */
  readonly batchSize?: number;
  readonly maxBatchDelayMs?: number;
  readonly initialWorkers?: number;
  readonly isSynchronous: boolean;
  readonly responseTimeoutSec?: number;
  readonly startupTimeoutSec?: number;
  readonly s3SseKms?: boolean;
}

export interface ScaleRequest {
  readonly modelName: string;
  readonly version: string | undefined;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  readonly isSynchronous: boolean;
}

/** `message` is the status sentence of surface spec 3: REST wraps it in `{"status": …}`, gRPC sends it bare. */
export interface Outcome {
  readonly status: 200 | 202 | 206;
  readonly message: string;
  /** What the archive or the caller wished for and did not get, in sentences. REST adds it as `warnings`, gRPC as further lines. */
  readonly warnings?: readonly string[];
}

export interface ModelListing {
  readonly nextPageToken?: string;
  readonly models: readonly { readonly modelName: string; readonly modelUrl: string }[];
}

/** One element of the describe array: plain JSON in the documented key order (surface spec 3.3). */
export type ModelDescription = Readonly<Record<string, unknown>>;

export interface ManagementPlane {
  register(request: RegisterRequest): Promise<Outcome>;
  scale(request: ScaleRequest): Promise<Outcome>;
  /** `version` may be `'all'`. */
  describe(modelName: string, version: string | undefined): Promise<readonly ModelDescription[]>;
  /** Adds `customizedMetadata` from the handler's own describe (surface spec 3.3). `headers` are the client's. */
  describeCustomized(
    modelName: string,
    version: string | undefined,
    headers: readonly (readonly [string, string])[],
  ): Promise<readonly ModelDescription[]>;
  list(limit: number, pageToken: number): ModelListing;
  setDefault(modelName: string, version: string): Promise<Outcome>;
  unregister(modelName: string, version: string | undefined): Promise<Outcome>;
  /** KServe v1 readiness: at least one worker exists (surface spec 3.8). */
  hasWorkers(modelName: string): boolean;
  /** Surface spec 2.2. */
  isHealthy(): boolean;
}
