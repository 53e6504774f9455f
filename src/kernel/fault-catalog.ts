// Every refusal and failure a client can see, in one table: what it means on each protocol and how loud the log is.

export interface FaultEntry {
  /** HTTP status on TorchServe routes (surface spec 2.10). */
  readonly status: number;
  /** The `type` member of TorchServe's JSON error: a Java class name, because clients match on it. */
  readonly type: string;
  /** Canonical gRPC status number. */
  readonly grpc: number;
  /** HTTP status for the protocol families that follow the RFCs (Open Inference Protocol, OpenAI). */
  readonly rfcStatus?: number;
  readonly level: 'debug' | 'info' | 'warn' | 'error';
}

const GRPC = {
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  internal: 13,
  unavailable: 14,
} as const;

export const FAULTS = {
  // What the client asked for does not exist or is not allowed.
  bad_request: { status: 400, type: 'BadRequestException', grpc: GRPC.invalidArgument, level: 'debug' },
  payload_too_large: { status: 413, type: 'BadRequestException', grpc: GRPC.resourceExhausted, level: 'info' },
  unsupported_media_type: { status: 415, type: 'BadRequestException', grpc: GRPC.invalidArgument, level: 'debug' },
  // Bodies of POST /models that TorchServe's JSON library could not read (surface spec 3.1).
  json_syntax: { status: 500, type: 'JsonSyntaxException', grpc: GRPC.invalidArgument, level: 'debug' },
  json_missing: { status: 500, type: 'NullPointerException', grpc: GRPC.invalidArgument, level: 'debug' },
  resource_not_found: { status: 404, type: 'ResourceNotFoundException', grpc: GRPC.notFound, level: 'debug' },
  method_not_allowed: { status: 405, type: 'MethodNotAllowedException', grpc: GRPC.permissionDenied, level: 'debug' },
  model_api_disabled: { status: 405, type: 'MethodNotAllowedException', grpc: GRPC.permissionDenied, level: 'info' },
  unauthenticated: {
    status: 400,
    type: 'InvalidKeyException',
    grpc: GRPC.permissionDenied,
    rfcStatus: 401,
    level: 'info',
  },
  forbidden: { status: 400, type: 'InvalidKeyException', grpc: GRPC.permissionDenied, rfcStatus: 403, level: 'info' },
  too_many_failures: { status: 429, type: 'InvalidKeyException', grpc: GRPC.resourceExhausted, level: 'warn' },
  model_not_found: { status: 404, type: 'ModelNotFoundException', grpc: GRPC.notFound, level: 'debug' },
  model_version_not_found: { status: 404, type: 'ModelVersionNotFoundException', grpc: GRPC.notFound, level: 'debug' },
  workflow_not_found: { status: 404, type: 'WorkflowNotFoundException', grpc: GRPC.notFound, level: 'debug' },
  version_conflict: { status: 409, type: 'ConflictStatusException', grpc: GRPC.aborted, level: 'info' },
  default_version_removal: {
    status: 403,
    type: 'InvalidModelVersionException',
    grpc: GRPC.permissionDenied,
    level: 'info',
  },
  not_implemented: { status: 501, type: 'UnsupportedOperationException', grpc: 12, level: 'info' },

  // A model that may not be loaded.
  source_not_allowed: { status: 404, type: 'ModelNotFoundException', grpc: GRPC.notFound, level: 'warn' },
  invalid_model: { status: 400, type: 'InvalidModelException', grpc: GRPC.invalidArgument, level: 'warn' },
  archive_refused: { status: 400, type: 'InvalidModelException', grpc: GRPC.invalidArgument, level: 'warn' },
  download_failed: { status: 400, type: 'DownloadArchiveException', grpc: GRPC.invalidArgument, level: 'warn' },
  model_error: { status: 400, type: 'ModelException', grpc: GRPC.invalidArgument, level: 'warn' },
  file_exists: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'info' },

  // The request was fine; serving it was not.
  no_worker: { status: 503, type: 'ServiceUnavailableException', grpc: GRPC.internal, rfcStatus: 503, level: 'info' },
  queue_full: { status: 503, type: 'ServiceUnavailableException', grpc: GRPC.internal, rfcStatus: 429, level: 'info' },
  draining: { status: 503, type: 'ServiceUnavailableException', grpc: GRPC.unavailable, level: 'info' },
  prediction_failed: { status: 503, type: 'InternalServerException', grpc: GRPC.unavailable, level: 'warn' },
  handler_status: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'debug' },
  out_of_resources: { status: 507, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },
  worker_died: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },
  response_timeout: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },
  client_timeout: { status: 504, type: 'RequestTimeoutException', grpc: GRPC.deadlineExceeded, level: 'info' },
  cancelled: { status: 499, type: 'RequestCancelledException', grpc: 1, level: 'debug' },
  describe_failed: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'warn' },
  worker_start_failed: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },
  worker_start_oom: { status: 507, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },
  worker_stop_timeout: { status: 408, type: 'RequestTimeoutException', grpc: GRPC.internal, level: 'error' },
  worker_count_refused: { status: 500, type: 'IndexOutOfBoundsException', grpc: GRPC.internal, level: 'info' },
  internal: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },

  // The operator's side: start-up and the command line. Never sent to a client.
  invalid_configuration: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },
  usage: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },
  server_unreachable: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },
  server_refused: { status: 500, type: 'InternalServerException', grpc: GRPC.internal, level: 'error' },
} as const satisfies Record<string, FaultEntry>;

export type FaultCode = keyof typeof FAULTS;
