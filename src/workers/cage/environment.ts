// The whole environment of a caged worker: nothing of the server's own is in it.
import { dirname } from 'node:path';
import type { WrapRequest } from './contract.ts';

/** The request's own variables win, except where they would lead out of the cage. */
export function workerEnvironment(request: WrapRequest, program: string, home: string): Record<string, string> {
  const threads = String(request.threads);
  const pools = Object.fromEntries(THREAD_POOLS.map((name) => [name, threads]));
  return {
    ...FIXED,
    ...pools,
    ...request.env,
    PATH: `${dirname(program)}:/usr/bin:/bin`,
    HOME: home,
    TMPDIR: home,
  };
}

const THREAD_POOLS = ['OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'NUMEXPR_NUM_THREADS'];

const FIXED = {
  LANG: 'C.UTF-8',
  USER: 'worker',
  LOGNAME: 'worker',
  PYTHONDONTWRITEBYTECODE: '1',
  // onnxruntime reports to its vendor unless told not to before it loads.
  ORT_DISABLE_TELEMETRY: '1',
  // There is no network: these libraries would retry for minutes before they say so.
  HF_HUB_OFFLINE: '1',
  TRANSFORMERS_OFFLINE: '1',
  // No network, so no TLS; and where Landlock hides the file, OpenSSL would stop the process.
  OPENSSL_CONF: '/dev/null',
} as const;

/** Every name that the cage itself sets. */
export const CAGE_VARIABLES: readonly string[] = [...Object.keys(FIXED), ...THREAD_POOLS, 'PATH', 'HOME', 'TMPDIR'];
