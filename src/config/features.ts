// Which features configuration keys speak of, and whether this version has them: a key must never be ignored in silence.

/** `later`: the key is checked, has no effect yet and says so at start. `never`: it tunes something Davy does not have. */
export type FeatureStatus = 'ready' | 'later' | 'never';

export const FEATURES = {
  grpc: { status: 'ready', title: 'gRPC' },
  tls: { status: 'ready', title: 'TLS' },
  openInference: { status: 'ready', title: 'the Open Inference Protocol' },
  cors: { status: 'ready', title: 'CORS headers' },
  isolation: { status: 'ready', title: 'the worker cage' },
  pythonDependencies: { status: 'ready', title: 'per-model Python dependencies' },
  snapshots: { status: 'ready', title: 'snapshots' },
  workflows: { status: 'never', title: 'workflows, which TorchServe 0.12 refuses too' },
  metrics: { status: 'ready', title: 'metrics' },
  sequences: { status: 'ready', title: 'sequence batching' },
  envelopes: { status: 'ready', title: 'request envelopes' },
  gpu: { status: 'ready', title: 'GPU assignment' },
  parallelModels: { status: 'later', title: 'multi-process models' },
  cpuLauncher: { status: 'later', title: 'the CPU launcher' },
  metricsCommand: { status: 'never', title: 'a separate program for system metrics' },
  debugging: { status: 'later', title: 'attaching to a worker by hand' },
  cppBackend: { status: 'never', title: 'the C++ backend' },
  jvm: { status: 'never', title: 'the Java virtual machine' },
} as const satisfies Record<string, { readonly status: FeatureStatus; readonly title: string }>;

export type Feature = keyof typeof FEATURES;

export const featureStatus = (feature: Feature | undefined): FeatureStatus =>
  feature === undefined ? 'ready' : FEATURES[feature].status;
