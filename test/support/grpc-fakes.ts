// Listeners over a scripted data path and control plane, with a gate of three keys.
import { createHash } from 'node:crypto';
import { Fault, systemClock } from '../../src/kernel/index.ts';
import { openGrpcListeners, type GrpcDeps } from '../../src/grpc/index.ts';
import { permits, type Gate, type Principal } from '../../src/policy/index.ts';
import {
  Announcements,
  type AccessEvent,
  type AuditEvent,
  type InferenceRequest,
  type ManagementPlane,
  type Outlet,
  type RegisterRequest,
  type Reply,
  type ScaleRequest,
} from '../../src/serving/index.ts';

/** What a handler would answer: concatenation of the inputs unless the model's name asks for something else. */
export type Script = (request: InferenceRequest, outlet: Outlet) => void;

const PRINCIPALS: Readonly<Record<string, Principal>> = {
  infer: { id: 'infer', scopes: [{ verb: 'infer', pattern: '*' }] },
  manage: {
    id: 'manage',
    scopes: [
      { verb: 'manage', pattern: '*' },
      { verb: 'read', pattern: '*' },
    ],
  },
  'only-m': {
    id: 'only-m',
    scopes: [
      { verb: 'infer', pattern: 'm' },
      { verb: 'manage', pattern: 'm' },
    ],
  },
};
const REFUSED = 'Token Authorization failed. Token either incorrect, expired, or not provided correctly';

export const gate: Gate = {
  isEnforcing: true,
  admit(authorization, _remote, permission) {
    if (permission.kind === 'open') return { id: 'anonymous', scopes: [] };
    const principal = PRINCIPALS[/^Bearer (\S+)$/.exec(authorization ?? '')?.[1] ?? ''];
    if (principal === undefined) throw new Fault('unauthenticated', REFUSED);
    gate.require(principal, permission);
    return principal;
  },
  require(principal, permission) {
    if (!permits(principal, permission)) throw new Fault('forbidden', REFUSED);
  },
};

export const replyOf = (...body: readonly (string | Uint8Array)[]): Reply => {
  const chunks = body.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece));
  return {
    status: 200,
    phrase: '',
    contentType: undefined,
    headers: [],
    body: chunks,
    bytes: chunks.reduce((n, c) => n + c.length, 0),
  };
};

export interface Stage {
  readonly inferencePort: number;
  readonly managementPort: number;
  readonly requests: InferenceRequest[];
  readonly cancelled: string[];
  readonly registered: RegisterRequest[];
  readonly scaled: ScaleRequest[];
  readonly access: AccessEvent[];
  readonly audit: AuditEvent[];
  isHealthy: boolean;
  close(graceMs?: number): Promise<void>;
}

export async function openStage(script: Script, change: Partial<GrpcDeps> = {}): Promise<Stage> {
  const announcements = new Announcements();
  const stage: Omit<Stage, 'inferencePort' | 'managementPort' | 'close'> = {
    requests: [],
    cancelled: [],
    registered: [],
    scaled: [],
    access: [],
    audit: [],
    isHealthy: true,
  };
  announcements.access.subscribe((event) => stage.access.push(event));
  announcements.audit.subscribe((event) => stage.audit.push(event));
  const listeners = await openGrpcListeners({
    dataPlane: {
      submit(request, outlet) {
        stage.requests.push(request);
        script(request, outlet);
        return { cancel: () => stage.cancelled.push(request.requestId) };
      },
    },
    management: managementOf(stage),
    gate,
    announcements,
    clock: systemClock,
    inferenceAddress: { host: '127.0.0.1', port: 0 },
    managementAddress: { host: '127.0.0.1', port: 0 },
    maxMessageBytes: 6_553_500,
    tls: undefined,
    isModelApiEnabled: true,
    isOpenInferenceProtocolEnabled: true,
    doesPingRequireToken: true,
    sequenceHeaders: {
      id: 'ts_request_sequence_id',
      start: 'ts_request_sequence_start',
      end: 'ts_request_sequence_end',
    },
    ...change,
  });
  return Object.assign(stage, {
    inferencePort: listeners.addresses.inference.port,
    managementPort: listeners.addresses.management.port,
    close: (graceMs = 1000) => listeners.close(graceMs),
  });
}

/** What a registration can meet that a test has no easy way to bring about, by URL. */
const REGISTRATION_FAULTS: Readonly<Record<string, Fault>> = {
  'missing.mar': new Fault('download_failed', 'Failed to download archive from: missing.mar'),
  'exists.mar': new Fault('file_exists', 'Model file already exists exists.mar'),
  'pip.mar': new Fault('model_error', 'Custom pip package installation failed for model m'),
  'invalid.mar': new Fault('invalid_model', 'Missing Model entry in manifest file.'),
  'memory.mar': new Fault('worker_start_oom', 'Failed to start workers for model m version: 1.0'),
};

function managementOf(stage: Pick<Stage, 'registered' | 'scaled' | 'isHealthy'>): ManagementPlane {
  const known = (name: string, version: string | undefined): void => {
    if (name !== 'm') throw new Fault('model_not_found', `Model not found: ${name}`);
    if (version !== undefined && !['1.0', 'all'].includes(version)) {
      throw new Fault('model_version_not_found', `Model version: ${version} does not exist for model: ${name}`);
    }
  };
  const model = {
    modelName: 'm',
    modelVersion: '1.0',
    minWorkers: 1,
    workers: [{ status: 'READY' }],
    inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 64] }],
  };
  return {
    async register(request) {
      if (request.url === undefined) throw new Fault('bad_request', 'Parameter url is required.');
      const fault = REGISTRATION_FAULTS[request.url];
      if (fault !== undefined) throw fault;
      stage.registered.push(request);
      return { status: 200, message: 'Model "m" Version: 1.0 registered with 1 initial workers' };
    },
    async scale(request) {
      known(request.modelName, request.version);
      stage.scaled.push(request);
      if (request.isSynchronous)
        throw new Fault('worker_start_failed', 'Failed to start workers for model m version: 1.0');
      return { status: 202, message: 'Processing worker updates...' };
    },
    async describe(name, version) {
      known(name, version);
      return [model];
    },
    async describeCustomized(name, version) {
      known(name, version);
      return [{ ...model, customizedMetadata: { a: 1 } }];
    },
    list: (limit) => ({ nextPageToken: '0', models: limit > 0 ? [{ modelName: 'm', modelUrl: 'm.mar' }] : [] }),
    async setDefault(name, version) {
      known(name, version);
      return { status: 200, message: `Default version successfully updated for model "${name}" to "${version}"` };
    },
    async unregister(name, version) {
      known(name, version);
      if (version === '1.0')
        throw new Fault('default_version_removal', `Cannot remove default version for model ${name}`);
      return { status: 200, message: `Model "${name}" unregistered` };
    },
    hasWorkers: () => true,
    isHealthy: () => stage.isHealthy,
  };
}

/** Answers each request with the digest and length of its inputs: enough to show that no byte was lost. */
export const digestScript: Script = (request, outlet) => {
  const hash = createHash('sha256');
  for (const part of request.parts) for (const chunk of part.chunks) hash.update(chunk);
  outlet.send(replyOf(hash.digest('hex')), true);
};

export const echoScript: Script = (request, outlet) => {
  if (request.model === 'unknown') throw new Fault('model_not_found', `Model not found: ${request.model}`);
  outlet.send(replyOf(...request.parts.flatMap((part) => part.chunks)), true);
};
