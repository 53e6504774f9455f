// HTTP doors over planes that a test scripts, behind real sockets on loopback.
import { connect, type Socket } from 'node:net';
import { systemClock, type Clock } from '../../src/kernel/index.ts';
import {
  DEFAULT_HTTP_OPTIONS,
  createCombinedDoor,
  createInferenceDoor,
  createManagementDoor,
  createMetricsDoor,
  openListener,
  type HttpOptions,
  type Listener,
  type ListenerLimits,
  type ListenerOptions,
} from '../../src/http/index.ts';
import { FailureLimiter, Keyring, createGate, createOpenGate, parseScope } from '../../src/policy/index.ts';
import {
  Announcements,
  type AccessEvent,
  type AuditEvent,
  type DataPlane,
  type InferenceRequest,
  type NoticeEvent,
  type ManagementPlane,
  type Outlet,
  type Reply,
} from '../../src/serving/index.ts';

export const KEYS = { inference: 'inference-key', management: 'management-key', API: 'api-key', modelA: 'model-a-key' };

/** Every request that came through, with its outlet: nothing is answered unless the test, or `answer`, does it. */
export class ScriptedDataPlane implements DataPlane {
  readonly requests: InferenceRequest[] = [];
  readonly outlets: Outlet[] = [];
  cancelled = 0;
  answer: (request: InferenceRequest, outlet: Outlet) => void = (request, outlet) => outlet.send(echo(request), true);

  submit(request: InferenceRequest, outlet: Outlet): { cancel(): void } {
    this.requests.push(request);
    this.outlets.push(outlet);
    this.answer(request, outlet);
    return { cancel: () => void (this.cancelled += 1) };
  }
}

export interface Setup {
  readonly options?: Partial<HttpOptions>;
  readonly limits?: Partial<ListenerLimits>;
  readonly listen?: Partial<Pick<ListenerOptions, 'address' | 'tls' | 'allowedHosts'>>;
  readonly isAuthDisabled?: boolean;
  readonly management?: Partial<ManagementPlane>;
  readonly isHealthy?: boolean;
  readonly soleStartupModel?: string;
  readonly clock?: Clock;
}

export interface OpenDoor {
  readonly listener: Listener;
  readonly port: number;
  readonly plane: ScriptedDataPlane;
  readonly access: AccessEvent[];
  readonly audit: AuditEvent[];
  readonly notices: NoticeEvent[];
  readonly rotated: string[];
  [Symbol.asyncDispose](): Promise<void>;
}

export async function openDoor(
  kind: 'inference' | 'management' | 'metrics' | 'combined',
  setup: Setup = {},
): Promise<OpenDoor> {
  const announcements = new Announcements();
  const access: AccessEvent[] = [];
  const audit: AuditEvent[] = [];
  const notices: NoticeEvent[] = [];
  const rotated: string[] = [];
  announcements.access.subscribe((event) => access.push(event));
  announcements.audit.subscribe((event) => audit.push(event));
  announcements.notice.subscribe((event) => notices.push(event));
  const plane = new ScriptedDataPlane();
  const deps = {
    gate: setup.isAuthDisabled ? createOpenGate() : gateWithKeys(setup.clock ?? systemClock),
    options: { ...DEFAULT_HTTP_OPTIONS, ...setup.options },
    announcements,
    clock: setup.clock ?? systemClock,
    dataPlane: plane,
    isHealthy: () => setup.isHealthy ?? true,
    soleStartupModel: () => setup.soleStartupModel,
    management: { ...absentManagement, ...setup.management },
    tokens: setup.isAuthDisabled ? undefined : { rotate: async (type: string) => void rotated.push(type) },
    metrics: { render: (names: readonly string[] | undefined) => `names ${names?.join(',') ?? 'all'}\n` },
  };
  const door = {
    inference: createInferenceDoor,
    management: createManagementDoor,
    metrics: createMetricsDoor,
    combined: createCombinedDoor,
  }[kind](deps);
  const address = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const listener = await openListener({
    address,
    door,
    announcements,
    limits: { checkEveryMs: 50, ...setup.limits },
    ...setup.listen,
  });
  const port = listener.address.kind === 'tcp' ? listener.address.port : 0;
  return { listener, port, plane, access, audit, notices, rotated, [Symbol.asyncDispose]: () => listener.close(0) };
}

export function reply(body: string, more: Partial<Reply> = {}): Reply {
  const bytes = Buffer.from(body);
  return { status: 200, phrase: '', contentType: undefined, headers: [], body: [bytes], bytes: bytes.length, ...more };
}

function echo(request: InferenceRequest): Reply {
  const part = request.parts[0];
  return { ...reply(''), body: part?.chunks ?? [], bytes: part?.bytes ?? 0 };
}

export const bearer = (key: string): { authorization: string } => ({ authorization: `Bearer ${key}` });

/** One connection that keeps everything it reads. */
export class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  text = '';
  #waiting: (() => void)[] = [];

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1' });
    this.socket.on('data', (chunk) => {
      this.text += chunk.toString('latin1');
      for (const check of this.#waiting) check();
    });
    // A reset is one of the ways a server may close on an abuser.
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
  }

  write(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Resolves when the text read so far matches, or when the connection is closed. */
  async until(pattern: RegExp): Promise<string> {
    const matched = new Promise<void>((resolve) => {
      const check = (): void => void (pattern.test(this.text) && resolve());
      this.#waiting.push(check);
      check();
    });
    await Promise.race([matched, this.closed]);
    return this.text;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Sends the bytes and reads until the server closes. */
export async function exchangeRaw(port: number, bytes: string): Promise<string> {
  using client = new RawClient(port);
  client.write(bytes);
  await client.closed;
  return client.text;
}

function gateWithKeys(clock: Clock) {
  const keyring = new Keyring(clock);
  const put = (key: string, id: string, scopes: readonly string[]): void =>
    keyring.put(id, key, { id, scopes: scopes.map(parseScope) }, Infinity);
  put(KEYS.inference, 'inference', ['infer:*']);
  put(KEYS.management, 'management', ['read:*', 'manage:*', 'metrics:*']);
  put(KEYS.API, 'API', ['token:*']);
  put(KEYS.modelA, 'model-a', ['infer:a', 'manage:a', 'read:a']);
  return createGate(keyring, new FailureLimiter(clock));
}

const absent = (): never => {
  throw new Error('not scripted');
};

const absentManagement: ManagementPlane = {
  register: absent,
  scale: absent,
  describe: absent,
  describeCustomized: absent,
  list: absent,
  setDefault: absent,
  unregister: absent,
  hasWorkers: absent,
  isHealthy: () => true,
};
