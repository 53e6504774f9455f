// Which of the server's variables reach the workers: an allowlist, less what the operator withholds (design.md section 9).
import type { Settings } from '../config/index.ts';

/** Locale and time zone, and what handlers of TorchServe read; nothing that can hold a credential. */
export const ALWAYS_ALLOWED = [
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'TZ',
  'ENABLE_TORCH_PROFILER',
  'LOG_LOCATION',
  'METRICS_LOCATION',
];

export function workerEnv(
  { workers }: Settings,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const names = [...ALWAYS_ALLOWED, ...workers.envAllow].filter((name) => workers.envDeny?.test(name) !== true);
  const allowed = names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]));
  return {
    ...Object.fromEntries(allowed),
    TS_DECODE_INPUT_REQUEST: String(workers.decodesInput),
    TS_IPEX_ENABLE: String(workers.ipex.isEnabled),
    TS_IPEX_GPU_ENABLE: String(workers.ipex.isGpuEnabled),
    // Surface spec 7.4: workers read other names than the configuration does.
    TS_REQUEST_SEQUENCE_ID: workers.sequenceHeaders.id,
    TS_REQUEST_SEQUENCE_START: workers.sequenceHeaders.start,
    TS_REQUEST_SEQUENCE_END: workers.sequenceHeaders.end,
  };
}
