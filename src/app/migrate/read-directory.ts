// Reads a TorchServe directory and says what Davy will make of it. Changes nothing, starts nothing.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  type ConfigFile,
  configValues,
  judgeConfigFile,
  judgeSnapshot,
  type KeyName,
  lookUpConfig,
  type Remark,
  requireTrustedFile,
  type StartupModel,
} from '../../config/index.ts';
import { Fault } from '../../kernel/index.ts';
import { ALWAYS_ALLOWED } from '../worker-env.ts';
import { judgeModel } from './judge-model.ts';
import { judgeReferences, judgeSources } from './judge-references.ts';
import { readModel } from './read-model.ts';
import { NO_COMMAND, parseStartCommand } from './start-command.ts';

export interface Migration {
  /** Absolute. */
  readonly directory: string;
  readonly remarks: readonly Remark[];
}

/**
 * `command` is the line that starts TorchServe there. Throws `usage` or `invalid_configuration` for what cannot be read:
 * a directory or file that is not there, a file that is no properties file, a command that is none.
 */
export async function readMigration(
  directory: string,
  command: string | undefined,
  onModel: (name: string) => void,
  signal: AbortSignal,
): Promise<Migration> {
  if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Fault('usage', `${directory} is not a directory.`);
  }
  const start = command === undefined ? NO_COMMAND : parseStartCommand(command, directory);
  const snapshotDir = resolve(directory, start.env.get('LOG_LOCATION') || 'logs', 'config');
  const found = lookUpConfig({
    env: start.env.get('TS_CONFIG_FILE'),
    flag: start.configFile,
    snapshotNames: existsSync(snapshotDir) ? readdirSync(snapshotDir) : [],
    usesSnapshots: start.usesSnapshots,
    hasWorkingDirectoryFile: existsSync(join(directory, 'config.properties')),
  });
  const remarks: Remark[] = [...start.remarks];
  const path = found.kind === 'named' ? resolve(directory, found.path) : join(directory, 'config.properties');
  const file = found.kind === 'named' || found.hasWorkingDirectoryFile ? readConfig(path) : undefined;
  const inFile: ReadonlyMap<KeyName, string> = file === undefined ? new Map() : configValues(file);
  const values = new Map([...inFile, ...start.values]);
  if (file !== undefined) remarks.push(...judgeConfigFile(file, values, directory));
  if (file !== undefined && found.kind === 'found') remarks.push(...judgeOwnership(path));

  let restored: readonly StartupModel[] = [];
  if (found.kind === 'found' && found.snapshotName !== undefined) {
    const snapshot = judgeSnapshot(readConfig(join(snapshotDir, found.snapshotName), found.snapshotName), values);
    remarks.push(...snapshot.remarks);
    restored = snapshot.models;
  }
  remarks.push(...judgeSources(values));
  const stores = (values.get('model_store') ?? '').split(',').filter((store) => store.trim() !== '');
  const roots = stores.map((store) => resolve(directory, store.trim()));
  if (roots.length === 0) remarks.push(noStore());
  remarks.push(...judgeReferences(values, restored, roots, existsSync));
  for (const root of roots) remarks.push(...(await judgeStore(root, values, onModel, signal)));
  return { directory, remarks };
}

function readConfig(path: string, name = path): ConfigFile {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) throw new Fault('usage', `There is no file ${path}.`);
  return { name: name.slice(name.lastIndexOf('/') + 1), text: readFileSync(path, 'latin1') };
}

function judgeOwnership(path: string): readonly Remark[] {
  const ourUid = process.getuid?.();
  try {
    if (ourUid !== undefined) requireTrustedFile(path, statSync(path), ourUid);
    return [];
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    const [message = ''] = thrown.message.split('\n');
    return [{ kind: 'change', where: path, subject: 'permissions', message, write: [`chmod go-w ${path}`] }];
  }
}

const noStore = (): Remark => ({
  kind: 'change',
  where: 'config.properties',
  subject: 'model_store',
  message: 'No model store is named, so no model was looked at. Name it, or give the start command with --command.',
  write: ['model_store=PATH'],
});

const MODEL = /\.(mar|model|tgz|tar\.gz)$/;

async function judgeStore(
  root: string,
  values: ReadonlyMap<KeyName, string>,
  onModel: (name: string) => void,
  signal: AbortSignal,
): Promise<readonly Remark[]> {
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory()) {
    throw new Fault('usage', `The model store ${root} is not a directory.`);
  }
  const allowed = (values.get('worker_env_allow') ?? '').split(',').map((name) => name.trim());
  const context = {
    hasModule,
    installsRequirements: values.get('install_py_dep_per_model')?.toLowerCase() === 'true',
    workerEnv: new Set([...ALWAYS_ALLOWED, ...PASSED_TO_WORKERS, ...allowed]),
  };
  const remarks: Remark[] = [];
  for (const entry of readdirSync(root, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    signal.throwIfAborted();
    if (entry.name.startsWith('.')) continue;
    if (entry.name.endsWith('.war')) remarks.push(workflow(entry.name));
    else if (entry.isDirectory() || MODEL.test(entry.name)) {
      onModel(entry.name);
      remarks.push(...judgeModel(await readModel(root, entry.name, signal), context));
    }
  }
  return remarks;
}

/** What every worker finds in its environment whatever the server's holds. */
const PASSED_TO_WORKERS = [
  'HOME',
  'PATH',
  'TMPDIR',
  'USER',
  'OMP_NUM_THREADS',
  'MKL_NUM_THREADS',
  'CUDA_VISIBLE_DEVICES',
  'LOCAL_RANK',
  'RANK',
  'WORLD_SIZE',
  'TS_DECODE_INPUT_REQUEST',
  'TS_IPEX_ENABLE',
  'TS_IPEX_GPU_ENABLE',
  'TS_REQUEST_SEQUENCE_ID',
  'TS_REQUEST_SEQUENCE_START',
  'TS_REQUEST_SEQUENCE_END',
];

const workflow = (name: string): Remark => ({
  kind: 'change',
  where: name,
  subject: 'workflow',
  message: 'Workflows are not served; TorchServe 0.12 refuses to register them, too.',
  write: ['(call the models one after the other, or make them one model)'],
});

/** Three folders up from src/app/migrate and from dist/app/migrate alike. */
const TS_PACKAGE = join(import.meta.dirname, '../../../python');

function hasModule(name: string): boolean {
  const path = join(TS_PACKAGE, ...name.split('.'));
  return existsSync(`${path}.py`) || existsSync(join(path, '__init__.py'));
}
