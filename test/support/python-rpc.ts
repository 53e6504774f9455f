// Python's grpcio as a client of the real server: one process that answers one call at a time (torchserve_rpc.py).
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';
const CLIENT = join(import.meta.dirname, 'torchserve_rpc.py');
const PACKAGES = {
  InferenceAPIsService: 'org.pytorch.serve.grpc.inference',
  ManagementAPIsService: 'org.pytorch.serve.grpc.management',
  GRPCInferenceService: 'org.pytorch.serve.grpc.openinference',
} as const;

/** Fields under their names in the .proto file; bytes as base64, 64-bit integers as text. */
export type RpcMessage = Readonly<Record<string, unknown>>;

export interface RpcAnswer {
  readonly messages: readonly RpcMessage[];
  /** The canonical gRPC code; 0 when the call succeeded. */
  readonly code: number;
  readonly details: string;
}

export interface RpcSettings {
  readonly key?: string | undefined;
  /** Further metadata, or several of one name. */
  readonly metadata?: readonly (readonly [string, string])[];
  readonly timeoutSec?: number;
  /** Calls the service under another full name. */
  readonly wireName?: string;
  /** Compresses the request with gzip. */
  readonly isCompressed?: boolean;
}

export class PythonRpc implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  readonly #lines: Interface;

  constructor() {
    this.#child = spawn(PYTHON, [CLIENT], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stderr.pipe(process.stderr, { end: false });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** `target` is `host:port`; `method` is `Service/Method`. One call at a time. */
  async call(
    target: string,
    method: `${keyof typeof PACKAGES}/${string}`,
    requests: RpcMessage | readonly RpcMessage[] = {},
    settings: RpcSettings = {},
  ): Promise<RpcAnswer> {
    const [service, name] = method.split('/') as [keyof typeof PACKAGES, string];
    const { key, metadata = [], timeoutSec = 30, wireName, isCompressed = false } = settings;
    const given = {
      target,
      service: `${PACKAGES[service]}.${service}`,
      method: name,
      requests: Array.isArray(requests) ? requests : [requests],
      metadata: [...metadata, ...(key === undefined ? [] : [['authorization', `Bearer ${key}`]])],
      timeout: timeoutSec,
      compression: isCompressed,
      ...(wireName === undefined ? {} : { wireName }),
    };
    this.#child.stdin.write(`${JSON.stringify(given)}\n`);
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error('the Python client ended');
    return JSON.parse(value) as RpcAnswer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    this.#lines.close();
  }
}

export const base64 = (bytes: string | Uint8Array): string => Buffer.from(bytes as Uint8Array).toString('base64');
