// Finds and reads the configuration files, gathers flags and facts of the machine, and asks the config room for Settings.
import { accessSync, constants, existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  type ConfigFile,
  type Flag,
  type KeyName,
  type Settings,
  configValues,
  isKeyName,
  loadSettings,
  lookUpConfig,
  requireTrustedFile,
} from '../../config/index.ts';
import { Fault } from '../../kernel/index.ts';
import type { Io } from './io.ts';

/** The flags of `davy serve` and `davy config` as commander names them. */
export interface ServeFlags {
  readonly config?: string;
  readonly modelStore?: string;
  readonly workflowStore?: string;
  readonly models?: readonly string[];
  readonly inferenceAddress?: string;
  readonly managementAddress?: string;
  readonly metricsAddress?: string;
  readonly disableTokenAuth?: boolean;
  readonly enableModelApi?: boolean;
  readonly insecureBind?: boolean;
  readonly isolation?: string;
  readonly python?: string;
  readonly logConfig?: string;
  readonly cppLogConfig?: string;
  readonly pluginsPath?: string;
  /** False with `--no-config-snapshots`. */
  readonly configSnapshots?: boolean;
  /** `key=value` each. */
  readonly set?: readonly string[];
}

/** Throws `invalid_configuration`, or `usage` for a flag that makes no sense. */
export function readSettings(io: Io, serveFlags: ServeFlags): Settings {
  const flags = flagTexts(serveFlags);
  requireDirectories(io, serveFlags);
  const found = lookUpConfig({
    env: io.env['TS_CONFIG_FILE'],
    flag: serveFlags.config,
    snapshotNames: namesIn(snapshotDir(io)),
    usesSnapshots: flags.get('config_snapshots')?.text !== 'false',
    hasWorkingDirectoryFile: existsSync(join(io.cwd, 'config.properties')),
  });
  const files =
    found.kind === 'named'
      ? { file: readNamed(io, found.path) }
      : readFiles(io, found.hasWorkingDirectoryFile, found.snapshotName);
  const facts = {
    cwd: io.cwd,
    tempDir: temporaryDirectory(io),
    stateHome: stateHome(io),
    pathExists: existsSync,
  };
  return loadSettings({ ...files, flags, env: io.env }, facts);
}

/** Python's `tempfile.gettempdir()`, because TorchServe's pid file lives there (surface spec 7.1). */
export function temporaryDirectory(io: Io): string {
  const named = ['TMPDIR', 'TEMP', 'TMP'].map((name) => io.env[name]).filter((dir) => dir !== undefined && dir !== '');
  const candidates = [...(named as string[]), '/tmp', '/var/tmp', '/usr/tmp', io.cwd];
  return candidates.map((dir) => resolve(io.cwd, dir)).find(isWritableDirectory) ?? io.cwd;
}

const isWritableDirectory = (dir: string): boolean => {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return statSync(dir).isDirectory();
  } catch {
    return false;
  }
};

function stateHome(io: Io): string {
  const base = io.env['XDG_STATE_HOME'];
  return join(base?.startsWith('/') ? base : join(io.env['HOME'] || homedir(), '.local', 'state'), 'davy');
}

const snapshotDir = (io: Io): string => resolve(io.cwd, io.env['LOG_LOCATION'] || 'logs', 'config');

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/** `config_snapshots=false` in the file keeps a snapshot from being read at all, as the flag does. */
function readFiles(
  io: Io,
  hasFile: boolean,
  snapshotName: string | undefined,
): { readonly file?: ConfigFile; readonly snapshot?: ConfigFile } {
  const file = hasFile ? readFound(io.cwd, 'config.properties') : undefined;
  const isOff = file !== undefined && configValues(file).get('config_snapshots')?.toLowerCase() === 'false';
  return {
    ...(file !== undefined && { file }),
    ...(snapshotName !== undefined && !isOff && { snapshot: readFound(snapshotDir(io), snapshotName) }),
  };
}

/** A file that the operator named is trusted because the operator named it. */
function readNamed(io: Io, path: string): ConfigFile {
  const absolute = resolve(io.cwd, path);
  if (!isFile(absolute)) throw new Fault('invalid_configuration', `--ts-config file not found: ${path}`);
  return { name: path, text: readFileSync(absolute, 'latin1') };
}

function readFound(dir: string, name: string): ConfigFile {
  const path = join(dir, name);
  const ourUid = process.getuid?.();
  if (ourUid !== undefined) requireTrustedFile(path, statSync(path), ourUid);
  return { name, text: readFileSync(path, 'latin1') };
}

export const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
export const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** TorchServe's messages (surface spec 7.1). */
function requireDirectories(io: Io, { modelStore, workflowStore, logConfig, cppLogConfig }: ServeFlags): void {
  const missing = (path: string | undefined, check: (path: string) => boolean): path is string =>
    path !== undefined && !check(resolve(io.cwd, path));
  const problem = (text: string): Fault => new Fault('invalid_configuration', text);
  if (missing(logConfig, isFile)) throw problem(`--log-config file not found: ${logConfig}`);
  if (missing(cppLogConfig, isFile)) throw problem(`--cpp-log-config file not found: ${cppLogConfig}`);
  for (const dir of modelStore?.split(',') ?? []) {
    if (missing(dir, isDirectory)) throw problem(`--model-store directory not found: ${dir}`);
  }
  if (missing(workflowStore, isDirectory)) throw problem(`--workflow-store directory not found: ${workflowStore}`);
}

/** Each flag as the text that its key would have in the file. */
export function flagTexts(given: ServeFlags): ReadonlyMap<KeyName, Flag> {
  const flags = new Map<KeyName, Flag>();
  const add = (key: KeyName, flag: string, text: string | undefined): void => {
    if (text !== undefined) flags.set(key, { flag, text });
  };
  for (const item of given.set ?? []) {
    const at = item.indexOf('=');
    const key = item.slice(0, Math.max(at, 0));
    if (!isKeyName(key)) {
      throw new Fault(
        'usage',
        `--set takes KEY=VALUE with a key of docs/configuration.md, found ${JSON.stringify(item)}.`,
      );
    }
    if (key === 'enable_envvars_config' || key === 'use_env_allowed_urls') {
      throw new Fault('usage', `${key} counts only in the configuration file.`);
    }
    add(key, '--set', item.slice(at + 1));
  }
  add('model_store', '--model-store', given.modelStore);
  add('workflow_store', '--workflow-store', given.workflowStore);
  add('load_models', '--models', given.models?.join(','));
  add('inference_address', '--inference-address', given.inferenceAddress);
  add('management_address', '--management-address', given.managementAddress);
  add('metrics_address', '--metrics-address', given.metricsAddress);
  add('isolation', '--isolation', given.isolation);
  add('python', '--python', given.python);
  add('log_config', '--log-config', given.logConfig);
  add('cpp_log_config', '--cpp-log-config', given.cppLogConfig);
  add('plugins_path', '--plugins-path', given.pluginsPath);
  // These can only switch on what they name (surface spec 6.7, 6.9).
  if (given.disableTokenAuth) add('disable_token_authorization', '--disable-token-auth', 'true');
  if (given.enableModelApi) add('enable_model_api', '--enable-model-api', 'true');
  if (given.insecureBind) add('insecure_bind', '--insecure-bind', 'true');
  if (given.configSnapshots === false) add('config_snapshots', '--no-config-snapshots', 'false');
  return flags;
}
