// Serving: the use cases, and the ports they need.
export type { DataPlane, Header, InferenceRequest, InputPart, Operation, Outlet, Reply, Ticket } from './inference.ts';
export type {
  ManagementPlane,
  ModelDescription,
  ModelListing,
  Outcome,
  RegisterRequest,
  ScaleRequest,
} from './management.ts';
export type {
  AdmissionJudge,
  AdmissionRecord,
  AdmitOptions,
  PackageProvider,
  PackageRequest,
  AdmittedModel,
  BatchItem,
  BatchResult,
  DeathCause,
  ModelStore,
  Runtime,
  WorkerEvents,
  WorkerHandle,
  WorkerLauncher,
  WorkerSpec,
} from './ports.ts';
export {
  Announcements,
  type AccessEvent,
  type AuditEvent,
  type BatchEvent,
  type HandlerMetricsEvent,
  type InferenceEvent,
  type ModelEvent,
  type NoticeEvent,
  type WorkerEvent,
} from './announcements.ts';
export type { MetricsExposition } from './metrics-port.ts';
export type { TokenRotation } from './token-port.ts';
export { ControlPlane, type ControlPlaneOptions, type StartupModel } from './control-plane.ts';
export { describeDeath } from './describe.ts';
export type { ModelRecord } from './model-record.ts';
export type { ServingSettings } from './serving-settings.ts';
export { Shard, type ShardOptions } from './shard.ts';
export type { LaneKey, LaneSpec, LaneStats, ShardControl, ShardEvent } from './shard-protocol.ts';
