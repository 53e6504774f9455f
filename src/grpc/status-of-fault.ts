// How a Fault reads on gRPC: a code, and TorchServe's two-line description (surface spec 5.4).
import type { Fault } from '../kernel/index.ts';
import { CODE, type GrpcStatus } from './transport.ts';

const HTTP_CODES: Readonly<Record<number, number>> = {
  400: CODE.invalidArgument,
  401: CODE.unauthenticated,
  403: CODE.permissionDenied,
  404: CODE.notFound,
  409: CODE.aborted,
  413: CODE.resourceExhausted,
  416: CODE.outOfRange,
  429: CODE.resourceExhausted,
  499: CODE.cancelled,
  501: CODE.unimplemented,
  503: CODE.unavailable,
  504: CODE.deadlineExceeded,
};

/** The table for what a worker or its start answered with an HTTP status. */
export function codeOfHttp(status: number): number {
  const known = HTTP_CODES[status];
  if (known !== undefined) return known;
  if (status >= 200 && status < 300) return CODE.ok;
  if (status >= 400 && status < 500) return CODE.failedPrecondition;
  return status >= 500 && status < 600 ? CODE.internal : CODE.unknown;
}

/** Java's packages of the exception classes that end the second line. */
const ARCHIVE_CLASSES: Readonly<Record<string, string>> = {
  ModelNotFoundException: 'org.pytorch.serve.archive.model.ModelNotFoundException',
  ModelVersionNotFoundException: 'org.pytorch.serve.archive.model.ModelVersionNotFoundException',
  InvalidModelException: 'org.pytorch.serve.archive.model.InvalidModelException',
  ModelException: 'org.pytorch.serve.archive.model.ModelException',
  DownloadArchiveException: 'org.pytorch.serve.archive.DownloadArchiveException',
};
const classOf = ({ entry }: Fault): string => ARCHIVE_CLASSES[entry.type] ?? `org.pytorch.serve.http.${entry.type}`;

/** Refusals of the gate: one line, and the same on every service. */
function refusalOf(fault: Fault): GrpcStatus | undefined {
  switch (fault.code) {
    case 'unauthenticated':
    case 'forbidden':
    case 'too_many_failures':
      return { code: fault.entry.grpc, message: fault.message };
    case 'cancelled':
      return { code: CODE.cancelled, message: 'call already cancelled' };
    default:
      return undefined;
  }
}

export function managementStatus(fault: Fault): GrpcStatus {
  const refusal = refusalOf(fault);
  if (refusal !== undefined) return refusal;
  if (fault.code === 'model_api_disabled') {
    const second = 'org.pytorch.serve.archive.model.ModelException';
    return { code: CODE.permissionDenied, message: `Model API disabled\n${second}` };
  }
  return { code: fault.entry.grpc, message: `${fault.message}\n${classOf(fault)}` };
}

/** A customised describe asks a worker, and its failures are worded as internal ones. */
export function customizedDescribeStatus(fault: Fault): GrpcStatus {
  const status = managementStatus(fault);
  return fault.code === 'model_not_found' || fault.code === 'model_version_not_found'
    ? { ...status, code: CODE.internal }
    : status;
}

export function inferenceStatus(fault: Fault): GrpcStatus {
  return refusalOf(fault) ?? { code: inferenceCode(fault), message: `${fault.message}\n${inferenceReason(fault)}` };
}

function inferenceCode(fault: Fault): number {
  switch (fault.code) {
    // TorchServe answers INTERNAL wherever the request did not reach a worker.
    case 'bad_request':
    case 'model_not_found':
    case 'model_version_not_found':
    case 'no_worker':
    case 'queue_full':
      return CODE.internal;
    default:
      return codeOfHttp(fault.status);
  }
}

/** The second line, which StreamPredictions2 sends as `ErrorInfo.reason`. */
export function inferenceReason(fault: Fault): string {
  switch (fault.code) {
    case 'bad_request':
      return 'BadRequestException.()';
    case 'no_worker':
    case 'queue_full':
      return 'InternalServerException.()';
    case 'model_not_found':
    case 'model_version_not_found':
      return classOf(fault);
    default:
      return 'org.pytorch.serve.http.InternalServerException';
  }
}
