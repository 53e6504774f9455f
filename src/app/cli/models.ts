// `davy models …`: the management API from the command line.
import { type Call, type ServerOptions, callJson } from './client.ts';
import { EXIT, type Io, withProgress } from './io.ts';
import { formatTable, printable } from './table.ts';

export interface JsonOption {
  readonly json?: boolean;
}

export interface VersionOption {
  readonly version?: string;
}

export async function listModels(io: Io, options: ServerOptions & JsonOption): Promise<number> {
  const models = await allModels(io, options);
  if (options.json) io.stdout.write(`${JSON.stringify(models, null, 2)}\n`);
  else if (models.length === 0) io.stderr.write('No models. Register one with: davy models register FILE.mar\n');
  else
    io.stdout.write(
      formatTable(
        ['MODEL', 'ARCHIVE'],
        models.map(({ modelName, modelUrl }) => [modelName, modelUrl]),
      ),
    );
  return EXIT.ok;
}

export interface Listed {
  readonly modelName: string;
  readonly modelUrl: string;
}

/** A bound, because the next page is named by a server that we need not trust. */
const MAX_PAGES = 1000;

export async function allModels(io: Io, server: ServerOptions): Promise<readonly Listed[]> {
  const models: Listed[] = [];
  let token: string | undefined = '0';
  for (let page = 0; token !== undefined && page < MAX_PAGES; page += 1) {
    const answer = (await callJson(
      io,
      server,
      get(`/models?limit=100&next_page_token=${encodeURIComponent(token)}`),
    )) as {
      readonly models?: readonly Partial<Listed>[];
      readonly nextPageToken?: string;
    };
    const found = answer.models ?? [];
    models.push(...found.map((model) => ({ modelName: String(model.modelName), modelUrl: String(model.modelUrl) })));
    // A full last page still names a next one, which is empty (surface spec 3.4).
    token = found.length === 0 ? undefined : answer.nextPageToken;
  }
  return models;
}

export async function describeModel(
  io: Io,
  model: string,
  options: ServerOptions & JsonOption & VersionOption & { readonly customized?: boolean },
): Promise<number> {
  const query = options.customized ? '?customized=true' : '';
  const described = await callJson(io, options, get(`${modelPath(model, options.version)}${query}`));
  io.stdout.write(options.json ? `${JSON.stringify(described, null, 2)}\n` : formatDescription(described));
  return EXIT.ok;
}

/** One block for each version: its scalar members as a table, then its workers as one. */
export function formatDescription(described: unknown): string {
  const versions = (Array.isArray(described) ? described : [described]) as readonly Record<string, unknown>[];
  return versions.map(formatVersion).join('\n');
}

function formatVersion(version: Record<string, unknown>): string {
  const { workers, admission, ...rest } = version;
  const width = Math.max(...Object.keys(rest).map((name) => name.length));
  const text = (value: unknown): string => printable(typeof value === 'string' ? value : JSON.stringify(value));
  const lines = Object.entries(rest).map(([name, value]) =>
    `${printable(name).padEnd(width)}  ${text(value)}`.trimEnd(),
  );
  const verdict = isObject(admission) ? formatAdmission(admission) : '';
  return `${lines.join('\n')}\n${verdict}${formatWorkers(Array.isArray(workers) ? workers : [])}`;
}

/** The server's document is not trusted to have the shape that it should have. */
function formatAdmission({ verdict, rule, signer, findings }: Record<string, unknown>): string {
  const by = isObject(signer) ? `, signed by ${String(signer['name'])} (${String(signer['identity'])})` : '';
  const rows = (Array.isArray(findings) ? findings : []).filter(isObject).map((finding) => {
    const word = (key: string): string => String(finding[key] ?? '');
    return printable(`  ${word('severity')}: ${word('code')} (${word('member')}): ${word('message')}`);
  });
  return `${[printable(`admission: ${String(verdict)}, decided by ${String(rule)}${by}`), ...rows].join('\n')}\n`;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const WORKER_COLUMNS = ['id', 'status', 'pid', 'startTime', 'memoryUsage', 'gpu'] as const;

function formatWorkers(workers: readonly Record<string, unknown>[]): string {
  if (workers.length === 0) return 'no workers\n';
  const header = WORKER_COLUMNS.map((name) => name.toUpperCase());
  return formatTable(
    header,
    workers.map((worker) => WORKER_COLUMNS.map((name) => String(worker[name] ?? ''))),
  );
}

export interface RegisterOptions extends ServerOptions, JsonOption {
  readonly name?: string;
  readonly handler?: string;
  readonly runtime?: string;
  readonly batchSize?: number;
  readonly maxBatchDelay?: number;
  readonly workers: number;
  readonly responseTimeout?: number;
  readonly startupTimeout?: number;
  /** False with `--no-wait`. */
  readonly wait: boolean;
}

export async function registerModel(io: Io, url: string, options: RegisterOptions): Promise<number> {
  const query = queryOf({
    url,
    model_name: options.name,
    handler: options.handler,
    runtime: options.runtime,
    batch_size: options.batchSize,
    max_batch_delay: options.maxBatchDelay,
    initial_workers: options.workers,
    response_timeout: options.responseTimeout,
    startup_timeout: options.startupTimeout,
    synchronous: options.wait,
  });
  return change(io, options, { method: 'POST', path: `/models?${query}`, key: 'management' }, 'Loading the model');
}

export interface ScaleOptions extends ServerOptions, JsonOption, VersionOption {
  readonly max?: number;
  readonly wait: boolean;
}

export async function scaleModel(io: Io, model: string, workers: number, options: ScaleOptions): Promise<number> {
  const query = queryOf({ min_worker: workers, max_worker: options.max, synchronous: options.wait });
  const path = `${modelPath(model, options.version)}?${query}`;
  return change(io, options, { method: 'PUT', path, key: 'management' }, 'Starting and stopping workers');
}

export async function unregisterModel(
  io: Io,
  model: string,
  options: ServerOptions & JsonOption & VersionOption,
): Promise<number> {
  const path = modelPath(model, options.version);
  return change(io, options, { method: 'DELETE', path, key: 'management' }, 'Stopping workers');
}

export async function setDefaultVersion(
  io: Io,
  model: string,
  version: string,
  options: ServerOptions & JsonOption,
): Promise<number> {
  const path = `${modelPath(model, version)}/set-default`;
  return change(io, options, { method: 'PUT', path, key: 'management' }, 'Switching the default');
}

async function change(io: Io, options: ServerOptions & JsonOption, call: Call, doing: string): Promise<number> {
  const answer = (await withProgress(io, doing, callJson(io, options, call))) as {
    readonly status?: unknown;
    readonly warnings?: unknown;
  };
  const warnings = Array.isArray(answer.warnings) ? answer.warnings : [];
  if (!options.json) for (const warning of warnings) io.stderr.write(`Warning: ${printable(String(warning))}\n`);
  io.stdout.write(options.json ? `${JSON.stringify(answer)}\n` : `${printable(String(answer.status))}\n`);
  return EXIT.ok;
}

const get = (path: string): Call => ({ method: 'GET', path, key: 'management' });

export const modelPath = (model: string, version: string | undefined): string =>
  ['/models', encodeURIComponent(model), ...(version === undefined ? [] : [encodeURIComponent(version)])].join('/');

/** Undefined members are left out. */
export function queryOf(members: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const given = Object.entries(members).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
}
