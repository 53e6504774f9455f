// From the flat values of keys to the Settings that other rooms read.
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { Fault } from '../kernel/index.ts';
import { isSameListener } from './address.ts';
import type { Facts } from './facts.ts';
import { KEY_NAMES, KEYS, type KeyName, type Values } from './keys/index.ts';
import type { Resolved, Sources } from './resolve.ts';
import { resolveScanners } from './scanners.ts';
import type { EffectiveValue, GrpcListener, Origin, Settings, StartupModels } from './settings.ts';
import { parseLoadModels, parseModelDefaults, parseSnapshotModels } from './startup-models.ts';

/** Every value in its place; nothing is decided here that a single key could decide. */
export function assemble(v: Values, resolved: Resolved, sources: Sources, facts: Facts, notices: string[]): Settings {
  const { cwd } = facts;
  const { env } = sources;
  const dirOf = (name: string): string => resolve(cwd, env[name] || 'logs');
  const grpc = (host: string, port: number, ageMs: number | undefined, graceMs: number | undefined): GrpcListener => ({
    host,
    port,
    maxConnectionAgeMs: ageMs,
    maxConnectionAgeGraceMs: graceMs,
  });
  const stores = v.model_store ?? [];

  return {
    inference: { address: v.inference_address },
    management: { address: v.management_address },
    metrics: {
      isEnabled: v.enable_metrics_api,
      address: v.metrics_address,
      mode: v.metrics_mode,
      configFile: v.metrics_config,
      autoDetectsModelMetrics: v.model_metrics_auto_detect,
      collectsSystemMetrics: !v.disable_system_metrics,
      systemMetricsCommand: v.system_metrics_cmd,
      systemIntervalSec: v.metric_time_interval,
    },
    isCombined: isSameListener(v.inference_address, v.management_address),
    grpc: {
      isEnabled: v.grpc_enabled,
      usesTls: v.enable_grpc_ssl,
      inference: grpc(
        v.grpc_inference_address,
        v.grpc_inference_port,
        v.grpc_inference_max_connection_age_ms,
        v.grpc_inference_max_connection_age_grace_ms,
      ),
      management: grpc(
        v.grpc_management_address,
        v.grpc_management_port,
        v.grpc_management_max_connection_age_ms,
        v.grpc_management_max_connection_age_grace_ms,
      ),
    },
    openInferenceProtocol: { isEnabled: v.ts_open_inference_protocol },
    http: {
      maxRequestBytes: v.max_request_size,
      maxResponseBytes: v.max_response_size,
      maxConnections: v.max_connections,
      headerTimeoutMs: v.header_timeout * 1000,
      bodyTimeoutMs: v.body_timeout * 1000,
      idleTimeoutMs: v.idle_timeout * 1000,
      cors: { origin: v.cors_allowed_origin, methods: v.cors_allowed_methods, headers: v.cors_allowed_headers },
      allowsInsecureBind: v.insecure_bind,
      allowedHosts: v.allowed_hosts,
    },
    tls: {
      clientAuthorityFile: v.client_ca_file,
      keystore:
        v.keystore === undefined ? undefined : { path: v.keystore, type: v.keystore_type, password: v.keystore_pass },
      pem:
        v.private_key_file === undefined || v.certificate_file === undefined
          ? undefined
          : { privateKeyFile: v.private_key_file, certificateFile: v.certificate_file },
    },
    auth: {
      requiresToken: !v.disable_token_authorization,
      tokenLifetimeMin: v.token_expiration_min,
      failureStatus: v.auth_failure_status,
      pingRequiresToken: v.ping_requires_token,
      isModelApiEnabled: v.enable_model_api,
    },
    models: {
      stores,
      workflowStore: v.workflow_store ?? stores[0],
      startup: startupModels(v, resolved),
      defaults: parseModelDefaults(v.models, place('models', resolved)),
      allowedUrls: v.allowed_urls,
      s3: {
        accessKeyId: v.s3_access_key_id,
        secretAccessKey: v.s3_secret_access_key,
        sessionToken: v.s3_session_token,
        region: v.s3_region,
        endpoint: v.s3_endpoint,
      },
      scanners: resolveScanners(v.scanners, place('scanners', resolved), {
        virusTotalKey: v.virustotal_api_key,
        httpToken: v.scanner_http_token,
      }),
      trustPolicyFile: v.trust_policy,
      keepsVersions: v.immutable_versions,
      installsPythonDependencies: v.install_py_dep_per_model,
      writesSnapshots: v.config_snapshots,
      defaultHandler: v.default_service_handler,
      serviceEnvelope: v.service_envelope,
    },
    queue: { maxJobs: v.job_queue_size, maxBytes: v.max_queue_bytes, retriesFailedBatches: v.retry_failed_batches },
    workers: {
      defaultPerModel: v.default_workers_per_model,
      maxPerModel: v.max_workers_per_model,
      responseTimeoutSec: v.default_response_timeout,
      startupTimeoutSec: v.default_startup_timeout,
      maxTimeoutSec: v.max_model_timeout,
      stopTimeoutSec: v.unregister_model_timeout,
      python: v.python,
      packages: { indexUrl: v.pip_index_url, fileOrigins: v.pip_file_origins },
      isolation: v.isolation,
      limits: {
        memoryBytes: v.worker_memory_limit,
        tasks: v.worker_max_tasks,
        cpus: v.worker_cpus,
        fileBytes: v.worker_max_file_size,
        tmpBytes: v.worker_tmp_size,
        openFiles: v.worker_max_open_files,
        outputBytesPerSecond: v.worker_output_rate,
      },
      maxRequests: v.worker_max_requests,
      firstUid: v.worker_first_uid,
      allowsSubprocess: v.worker_allow_subprocess,
      allowsUnixSockets: v.worker_allow_unix_sockets,
      envAllow: v.worker_env_allow,
      envDeny: v.blacklist_env_vars,
      cpuBudget: v.cpu_budget,
      maxGpus: v.number_of_gpu,
      firstWorkerId: v.initial_worker_port,
      firstDistributionPort: v.initial_distribution_port,
      limitsImagePixels: v.limit_max_image_pixels,
      decodesInput: v.decode_input_request,
      sequenceHeaders: {
        id: v.ts_header_key_sequence_id,
        start: v.ts_header_key_sequence_start,
        end: v.ts_header_key_sequence_end,
      },
      ipex: { isEnabled: v.ipex_enable, isGpuEnabled: v.ipex_gpu_enable },
      cpuLauncher: { isEnabled: v.cpu_launcher_enable, args: v.cpu_launcher_args },
    },
    log: {
      format: v.log_format,
      configFile: v.log_config,
      dir: dirOf('LOG_LOCATION'),
      metricsDir: dirOf('METRICS_LOCATION'),
    },
    server: {
      cwd,
      tempDir: facts.tempDir,
      stateDir: v.state_dir ?? ownStateDir(v, facts),
      configFile: (sources.snapshot ?? sources.file)?.name,
      drainTimeoutMs: v.drain_timeout * 1000,
      isDebug: v.debug,
    },
    unknown: resolved.unknown,
    notices,
    origin: (key) => originOf(key, resolved),
    effective: () => KEY_NAMES.map((key) => effectiveValue(key, resolved)),
  };
}

/** The same at every start of this server, and another one for every server that can run beside it. */
function ownStateDir({ inference_address, management_address }: Values, { cwd, stateHome }: Facts): string {
  const identity = JSON.stringify([cwd, inference_address.text, management_address.text]);
  return join(stateHome, createHash('sha256').update(identity).digest('hex').slice(0, STATE_NAME_LENGTH));
}

/** Short, because paths of unix sockets below it must fit into 107 bytes. */
const STATE_NAME_LENGTH = 12;

function startupModels(values: Values, resolved: Resolved): StartupModels {
  if (values.model_snapshot === undefined) return parseLoadModels(values.load_models);
  try {
    return parseSnapshotModels(values.model_snapshot, place('model_snapshot', resolved));
  } catch (error) {
    const isFound = resolved.given.get('model_snapshot')?.origin.source === 'snapshot';
    if (!isFound || !(error instanceof Fault)) throw error;
    const remedy = 'Remove that snapshot, or start once with --no-config-snapshots.';
    throw new Fault('invalid_configuration', `${error.message}\n${remedy}`, { cause: error.cause });
  }
}

export function originOf(key: string, { given }: Resolved): Origin {
  const known = KEY_NAMES.find((name) => name === key);
  if (known === undefined) throw new Error(`${key} is no configuration key`);
  return given.get(known)?.origin ?? DEFAULT_ORIGIN;
}

function effectiveValue(key: KeyName, resolved: Resolved): EffectiveValue {
  const { defaultText, isSecurity, isSecret } = KEYS[key];
  const text = resolved.given.get(key)?.text ?? defaultText;
  const value = text !== undefined && isSecret ? '[secret]' : text;
  return { key, value, origin: originOf(key, resolved), isSecurity, isSecret };
}

const place = (key: KeyName, resolved: Resolved): string =>
  `${key} at ${resolved.given.get(key)?.origin.where ?? 'its default'}`;

const DEFAULT_ORIGIN: Origin = { source: 'default', where: '' };
