// TorchServe's ManagementAPIsService (surface spec 5.3): the use cases of the REST API, with "zero means not given".
import { create } from '@bufbuild/protobuf';
import { Fault, toFault } from '../kernel/index.ts';
import { scoped, type Gate, type Verb } from '../policy/index.ts';
import type { Announcements, ManagementPlane, Outcome, RegisterRequest } from '../serving/index.ts';
import {
  ManagementAPIsService,
  ManagementResponseSchema,
  type ManagementResponse,
  type RegisterModelRequest,
} from './gen/management_pb.ts';
import { unary, type Caller, type Method } from './method.ts';
import { customizedDescribeStatus, managementStatus } from './status-of-fault.ts';

export interface ManagementPorts {
  readonly management: ManagementPlane;
  readonly gate: Gate;
  readonly announcements: Announcements;
  /** `enable_model_api` (surface spec 6.9). */
  readonly isModelApiEnabled: boolean;
}

export function managementMethods(ports: ManagementPorts): readonly Method[] {
  const { management, gate } = ports;
  const service = ManagementAPIsService.method;
  const change = auditedBy(ports.announcements);
  const mayOn = (caller: Caller, verb: Verb, model: string): void =>
    gate.require(caller.principal, scoped(verb, model));
  const reads = (operation: string) => ({ operation, permission: scoped('read'), statusOf: managementStatus });
  const manages = (operation: string) => ({ operation, permission: scoped('manage'), statusOf: managementStatus });

  return [
    unary(service.describeModel, { ...reads('describe'), statusOf: describeStatus }, async (request, caller) => {
      const { modelName, modelVersion, customized } = request;
      mayOn(caller, 'read', modelName);
      const version = given(modelVersion);
      if (!customized || version === 'all') return json(await management.describe(modelName, version));
      return json(await management.describeCustomized(modelName, version, []).catch(asCustomized));
    }),
    unary(service.listModels, { ...reads('list'), permission: scoped('read', '*') }, ({ limit, nextPageToken }) =>
      json(management.list(limit, nextPageToken)),
    ),
    unary(service.registerModel, manages('register'), (request, caller) => {
      requireModelApi(ports);
      // A key for some models may only register those: the name has to be in the request to be judged.
      mayOn(caller, 'manage', given(request.modelName) ?? '*');
      return change(caller, 'register', given(request.modelName), management.register(registerRequest(request)));
    }),
    unary(service.scaleWorker, manages('scale'), (request, caller) => {
      const { modelName, modelVersion, synchronous } = request;
      mayOn(caller, 'manage', modelName);
      const minWorkers = positive(request.minWorker) ?? 1;
      const maxWorkers = positive(request.maxWorker) ?? minWorkers;
      const version = given(modelVersion);
      const scaled = management.scale({ modelName, version, minWorkers, maxWorkers, isSynchronous: synchronous });
      return change(caller, 'scale', subjectOf(modelName, version), scaled);
    }),
    unary(service.setDefault, manages('set_default'), ({ modelName, modelVersion }, caller) => {
      mayOn(caller, 'manage', modelName);
      const outcome = management.setDefault(modelName, modelVersion);
      return change(caller, 'set_default', subjectOf(modelName, modelVersion), outcome);
    }),
    unary(service.unregisterModel, manages('unregister'), ({ modelName, modelVersion }, caller) => {
      requireModelApi(ports);
      // The text is TorchServe's (surface spec 5.4).
      if (modelName === '') throw new Fault('bad_request', 'Parameter url is required.');
      mayOn(caller, 'manage', modelName);
      const version = given(modelVersion);
      return change(caller, 'unregister', subjectOf(modelName, version), management.unregister(modelName, version));
    }),
  ];
}

function registerRequest(request: RegisterModelRequest): RegisterRequest {
  const optional = {
    modelName: given(request.modelName),
    handler: given(request.handler),
    runtime: given(request.runtime),
    batchSize: positive(request.batchSize),
    maxBatchDelayMs: positive(request.maxBatchDelay),
    initialWorkers: positive(request.initialWorkers),
    responseTimeoutSec: positive(request.responseTimeout),
    startupTimeoutSec: positive(request.startupTimeout),
    s3SseKms: request.s3SseKms || undefined,
  };
  const set = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { url: given(request.url), isSynchronous: request.synchronous, ...set };
}

/** A change: one audit line whether it worked or not, and the bare sentence as the answer, with warnings below it. */
function auditedBy({ audit }: Announcements) {
  return async (
    { call, principal }: Caller,
    action: string,
    subject: string | undefined,
    work: Promise<Outcome>,
  ): Promise<ManagementResponse> => {
    const record = (detail: Readonly<Record<string, unknown>>): void =>
      audit.publish({ action, outcome: 'allowed', principal: principal.id, remote: call.source, subject, detail });
    try {
      const { status, message, warnings = [] } = await work;
      record({ status });
      return create(ManagementResponseSchema, { msg: [message, ...warnings].join('\n') });
    } catch (thrown) {
      record({ code: toFault(thrown).code });
      throw thrown;
    }
  };
}

function requireModelApi({ isModelApiEnabled }: ManagementPorts): void {
  if (!isModelApiEnabled) throw new Fault('model_api_disabled', 'Model API disabled');
}

/** Marks a failure of a customised describe, whose codes differ from those of a plain one. */
class CustomizedFault extends Fault {}

function asCustomized(thrown: unknown): never {
  const fault = toFault(thrown);
  throw new CustomizedFault(fault.code, fault.message, { cause: fault.cause, status: fault.status });
}

const describeStatus = (fault: Fault) =>
  fault instanceof CustomizedFault ? customizedDescribeStatus(fault) : managementStatus(fault);

/** The REST API's pretty JSON, without the newline at its end. */
const json = (value: unknown): ManagementResponse =>
  create(ManagementResponseSchema, { msg: JSON.stringify(value, null, 2) });

const given = (text: string): string | undefined => (text === '' ? undefined : text);
const positive = (value: number): number | undefined => (value > 0 ? value : undefined);
const subjectOf = (model: string, version: string | undefined): string =>
  version === undefined || version === '' ? model : `${model}/${version}`;
