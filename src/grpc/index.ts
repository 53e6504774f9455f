// gRPC: TorchServe's two services, the Open Inference Protocol and health checks, over the same use cases and gate as REST.
export { openGrpcListeners, type GrpcDeps, type GrpcListeners, type GrpcListenOptions } from './listeners.ts';
export type { GrpcTls } from './http2/listener.ts';
