// Keys of running the server: metrics, logs, places on disk, and what only a Java virtual machine needs.
import { davyKey, torchserveKey } from '../key.ts';
import { integer, javaBoolean, metricsMode, oneOf, path, plainText } from '../value.ts';

export const METRICS_KEYS = {
  enable_metrics_api: torchserveKey(javaBoolean, {
    default: 'true',
    doc: 'Opens the metrics listener.',
  }),
  metrics_mode: torchserveKey(metricsMode, {
    default: 'log',
    doc: '`log` writes metrics to files, `prometheus` serves them, `legacy` serves the three old ones.',
    feature: 'metrics',
  }),
  metrics_config: torchserveKey(path, {
    doc: 'Path of metrics.yaml; a built-in one unless given.',
    feature: 'metrics',
  }),
  model_metrics_auto_detect: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'Accepts metrics of handlers that metrics.yaml does not name.',
    feature: 'metrics',
  }),
  disable_system_metrics: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'Stops collecting CPU, memory and disk use.',
    feature: 'metrics',
  }),
  system_metrics_cmd: torchserveKey(plainText, {
    env: null,
    doc: 'TorchServe’s command that collects system metrics. Davy reads them itself.',
    isSecurity: true,
    feature: 'metricsCommand',
  }),
  metric_time_interval: torchserveKey(integer(1), {
    default: '60',
    env: null,
    doc: 'Seconds between two collections of system metrics.',
    feature: 'metrics',
  }),
};

export const SERVER_KEYS = {
  state_dir: davyKey(path, {
    doc:
      'Directory of everything this server keeps: unpacked models, sockets. No two servers may share it. ' +
      'Default: one below `~/.local/state/davy` for each working directory and pair of addresses.',
    isSecurity: true,
  }),
  drain_timeout: davyKey(integer(0), {
    default: '30',
    doc: 'Seconds that accepted requests may take to finish after a stop was asked for.',
  }),
  log_format: davyKey(oneOf('text', 'json'), {
    default: 'text',
    doc: 'Lines for people or for machines.',
  }),
  log_config: davyKey(path, {
    env: null,
    doc: 'log4j2 XML file: its levels, files, rolling sizes and patterns count (docs/operations.md). Flag `--log-config`.',
  }),
  model_server_home: torchserveKey(path, {
    isEnvAlwaysRead: true,
    doc: 'TorchServe’s installation directory; must exist if given.',
    isSecurity: true,
  }),
  version: torchserveKey(plainText, {
    env: null,
    doc: 'Written by snapshots; ignored.',
  }),
};

const jvmKey = (defaultText: string, doc: string, env?: null) =>
  torchserveKey(plainText, { default: defaultText, doc, feature: 'jvm', ...(env === null && { env }) });

export const JVM_KEYS = {
  number_of_netty_threads: torchserveKey(integer(0), {
    default: '0',
    doc: 'Threads of TorchServe’s HTTP server.',
    feature: 'jvm',
  }),
  netty_client_threads: torchserveKey(integer(0), {
    default: '0',
    doc: 'Threads of TorchServe’s worker connections.',
    feature: 'jvm',
  }),
  prefer_direct_buffer: jvmKey('false', 'Buffers outside the Java heap.'),
  async_logging: jvmKey('false', 'log4j2’s asynchronous loggers. Davy never waits for its log.'),
  use_native_io: torchserveKey(javaBoolean, {
    default: 'true',
    env: null,
    doc: 'Unix sockets need it, as in TorchServe; otherwise without effect.',
  }),
  io_ratio: jvmKey('50', 'Share of I/O in TorchServe’s event loop.', null),
  vmargs: jvmKey(
    '',
    'Arguments of the Java virtual machine, but for `-Dlog4j.configurationFile=` (docs/operations.md).',
    null,
  ),
  plugins_path: jvmKey('', 'Java plugins; there is no virtual machine to load them.', null),
  cpp_log_config: torchserveKey(path, {
    doc: 'Log configuration of the C++ backend.',
    feature: 'cppBackend',
  }),
};
