// The whole environment of a caged worker: nothing of the server's own is in it.
import { dirname } from 'node:path';
import type { WrapRequest } from './contract.ts';

/** The request's own variables win, except where they would lead out of the cage. */
export function workerEnvironment(request: WrapRequest, program: string, home: string): Record<string, string> {
  const threads = String(request.threads);
  return {
    LANG: 'C.UTF-8',
    USER: 'worker',
    LOGNAME: 'worker',
    PYTHONDONTWRITEBYTECODE: '1',
    OMP_NUM_THREADS: threads,
    MKL_NUM_THREADS: threads,
    OPENBLAS_NUM_THREADS: threads,
    NUMEXPR_NUM_THREADS: threads,
    // onnxruntime reports to its vendor unless told not to before it loads.
    ORT_DISABLE_TELEMETRY: '1',
    // There is no network: these libraries would retry for minutes before they say so.
    HF_HUB_OFFLINE: '1',
    TRANSFORMERS_OFFLINE: '1',
    // There is no network, so no TLS; and where Landlock hides the file, OpenSSL would stop the process.
    OPENSSL_CONF: '/dev/null',
    ...request.env,
    PATH: `${dirname(program)}:/usr/bin:/bin`,
    HOME: home,
    TMPDIR: home,
  };
}
