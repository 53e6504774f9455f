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
