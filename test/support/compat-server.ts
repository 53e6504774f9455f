// The server as compatibility tests use it: TorchServe's usual test settings, and the calls that every one of them makes.
import { setTimeout as sleep } from 'node:timers/promises';
import { exchange, type Exchanged, type ExchangeOptions } from './http-exchange.ts';
import { startRealServer, type RealServer, type RealServerOptions } from './real-server.ts';

export interface ModelView {
  readonly modelName: string;
  readonly modelVersion: string;
  readonly workers: readonly { readonly id: string; readonly pid: number; readonly status: string }[];
  readonly jobQueueStatus: { readonly remainingCapacity: number; readonly pendingRequests: number };
  readonly [key: string]: unknown;
}

export interface CompatServer extends RealServer {
  /** A request to the inference listener. */
  infer(path: string, options?: ExchangeOptions): Promise<Exchanged>;
  /** A request to the management listener; GET unless said. */
  admin(path: string, method?: string, options?: ExchangeOptions): Promise<Exchanged>;
  /** The first element of the describe document. */
  view(model: string): Promise<ModelView>;
  /** Resolves when as many workers as wanted, or all there should be, are READY. */
  ready(model: string, count?: number): Promise<ModelView>;
}

/** What TorchServe's own suites start with: no tokens, model API on. */
export const OPEN_SETTINGS = ['disable_token_authorization=true', 'enable_model_api=true'] as const;

const READY_LIMIT_MS = 30_000;
/** A log line follows its event within the writers' delay; some wait for a worker's retry first. */
const LINE_LIMIT_MS = 30_000;

export async function startCompatServer(options: RealServerOptions): Promise<CompatServer> {
  const server = await startRealServer({ ...options, config: [...OPEN_SETTINGS, ...(options.config ?? [])] });
  const admin: CompatServer['admin'] = (path, method = 'GET', rest = {}) =>
    exchange(`${server.management}${path}`, { ...rest, method });
  const view = async (model: string): Promise<ModelView> => {
    const answer = await admin(`/models/${model}`);
    if (answer.status !== 200) throw new Error(`describe ${model}: ${answer.status} ${answer.text}`);
    return answer.json<ModelView[]>()[0]!;
  };
  const ready: CompatServer['ready'] = async (model, count) => {
    const deadline = performance.now() + READY_LIMIT_MS;
    for (;;) {
      const seen = await view(model);
      const isReady = seen.workers.filter(({ status }) => status === 'READY').length;
      if (seen.workers.length > 0 && isReady >= (count ?? seen.workers.length)) return seen;
      if (performance.now() > deadline)
        throw new Error(`${model} did not become ready:\n${server.output().slice(-4000)}`);
      await sleep(25);
    }
  };
  return {
    ...server,
    infer: (path, rest = {}) => exchange(`${server.inference}${path}`, rest),
    admin,
    view,
    ready,
    until: (pattern, timeoutMs = LINE_LIMIT_MS) => server.until(pattern, timeoutMs),
    // The spread takes no symbols of accessors; the server stops with this one.
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** TorchServe's JSON error, byte for byte (surface spec 2.10). */
export function errorBody(code: number, type: string, message: string): string {
  return `${JSON.stringify({ code, type, message }, null, 2)}\n`;
}

/** `{"status": …}` as TorchServe prints it. */
export function statusBody(message: string): string {
  return `${JSON.stringify({ status: message }, null, 2)}\n`;
}
