// HTTP/1.1: doors and the listeners they stand behind.
export {
  createCombinedDoor,
  createInferenceDoor,
  createManagementDoor,
  createMetricsDoor,
  type CombinedDoorDeps,
  type DoorDeps,
  type InferenceDoorDeps,
  type ManagementDoorDeps,
  type MetricsDoorDeps,
} from './doors.ts';
export type { Door } from './door.ts';
export type { InferencePorts } from './inference-routes.ts';
export type { ManagementPorts } from './management-routes.ts';
export { DEFAULT_HTTP_OPTIONS, type HttpOptions } from './options.ts';
export {
  DEFAULT_LISTENER_LIMITS,
  isLoopback,
  openListener,
  type ListenAddress,
  type Listener,
  type ListenerLimits,
  type ListenerOptions,
} from './listener.ts';
export { loadTls, type TlsMaterial, type TlsRequest, type TlsSource } from './tls.ts';
