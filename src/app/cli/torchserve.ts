// The `torchserve` command: flags, messages and files of surface spec 7.1 around `davy serve`.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { parseProperties } from '../../config/index.ts';
import { Fault } from '../../kernel/index.ts';
import { expandAbbreviations } from './abbreviations.ts';
import { EXIT, type Io, exitStatus, processIo } from './io.ts';
import { parse } from './main.ts';
import { createPidFile, pidFilePath, readPidFile, removePidFile } from './pid-file.ts';
import { isDirectory, isFile, temporaryDirectory } from './read-settings.ts';
import { removeKeyFile, stopServer } from './stop.ts';

/** The surface this product implements; scripts compare it. */
const TORCHSERVE_VERSION = '0.12.0';

interface TorchserveFlags {
  readonly version?: boolean;
  readonly start?: boolean;
  readonly stop?: boolean;
  readonly tsConfig?: string;
  readonly modelStore?: string;
  readonly workflowStore?: string;
  readonly models?: readonly string[];
  readonly logConfig?: string;
  readonly cppLogConfig?: string;
  readonly foreground?: boolean;
  readonly configSnapshots?: boolean;
  readonly pluginsPath?: string;
  readonly disableTokenAuth?: boolean;
  readonly enableModelApi?: boolean;
  readonly insecureBind?: boolean;
  readonly isolation?: string;
}

export async function main(args: readonly string[], io: Io = processIo()): Promise<number> {
  let status: number = EXIT.ok;
  const program = new Command('torchserve')
    .description('Torchserve, served by Davy')
    .addOption(new Option('-v, --version', 'print the TorchServe version').conflicts(['start', 'stop']))
    .addOption(new Option('--start', 'start the model server').conflicts(['version', 'stop']))
    .addOption(new Option('--stop', 'stop the model server').conflicts(['version', 'start']))
    .option('--ts-config <file>', 'configuration file')
    .option('--model-store <dir>', 'directory of model archives')
    .option('--workflow-store <dir>', 'directory of workflow archives')
    .option('--models <models...>', 'models to load: all, or [name=]location ...')
    .option('--log-config <file>', 'log4j2 XML file: levels, files and patterns of the logs')
    .option('--cpp-log-config <file>', 'log configuration of the C++ backend')
    .option('--foreground', 'stay attached; with --stop: wait')
    .option('--ncs, --no-config-snapshots', 'neither read nor write snapshots')
    .option('--ppath, --plugins-path <path>', 'accepted and ignored: there is no Java virtual machine')
    .option('--dt, --disable-token-auth', 'disable token authorization')
    .option('--enable-model-api', 'enable registering and unregistering models')
    .option('--insecure-bind', 'Davy only: allow clear text on addresses other than loopback')
    .addOption(
      new Option('--isolation <level>', 'Davy only: cage of the workers').choices(['strict', 'process', 'none']),
    )
    .addHelpText('after', '\nExample:\n  torchserve --start --model-store models --models all --ncs')
    .action(async (flags: TorchserveFlags) => {
      status = await exitStatus(io, () => act(io, flags));
    });
  return parse(program, expandAbbreviations(program, args), io, () => status);
}

async function act(io: Io, flags: TorchserveFlags): Promise<number> {
  if (flags.version) {
    io.stdout.write(`TorchServe Version is ${TORCHSERVE_VERSION}\n`);
    return EXIT.ok;
  }
  try {
    return await (flags.stop ? stop(io, flags) : start(io, flags));
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    // TorchServe says its refusals on stdout.
    io.stdout.write(`${thrown.message}\n`);
    return EXIT.failed;
  }
}

async function stop(io: Io, flags: TorchserveFlags): Promise<number> {
  const outcome = await stopServer(pidFilePath(temporaryDirectory(io)));
  removeKeyFile(io.cwd);
  const words = {
    'not running': 'TorchServe is not currently running.',
    'already stopped': 'TorchServe already stopped.',
    stopped: flags.foreground ? '' : 'TorchServe has stopped.',
    'too long': 'Stopping TorchServe took too long.',
  };
  if (words[outcome] !== '') io.stdout.write(`${words[outcome]}\n`);
  return outcome === 'too long' ? EXIT.failed : EXIT.ok;
}

async function start(io: Io, flags: TorchserveFlags): Promise<number> {
  const temp = io.env['TEMP'];
  if (temp !== undefined && temp !== '' && !isDirectory(resolve(io.cwd, temp))) {
    throw refuse(`Invalid temp directory: ${temp}, please check TEMP environment variable.`);
  }
  const pidFile = pidFilePath(temporaryDirectory(io));
  const state = readPidFile(pidFile);
  if (state.kind === 'running') {
    throw refuse('TorchServe is already running, please use torchserve --stop to stop TorchServe.');
  }
  if (state.kind === 'stale') {
    io.stdout.write('Removing orphan pid file.\n');
    removePidFile(pidFile, undefined);
  }
  checkFlags(io, flags);
  const args = ['serve', '--pid-file', pidFile, ...serveArguments(flags)];
  if (flags.foreground) return (await import('./main.ts')).main(args, io);
  return detach(io, args, pidFile);
}

/** In TorchServe's order and words (surface spec 7.1). */
function checkFlags(io: Io, flags: TorchserveFlags): void {
  const at = (path: string): string => resolve(io.cwd, path);
  const config = io.env['TS_CONFIG_FILE'] || flags.tsConfig;
  if (config !== undefined && !isFile(at(config))) throw refuse(`--ts-config file not found: ${config}`);
  for (const [flag, path] of [
    ['--log-config', flags.logConfig],
    ['--cpp-log-config', flags.cppLogConfig],
  ] as const) {
    if (path !== undefined && !isFile(at(path))) throw refuse(`${flag} file not found: ${path}`);
  }
  const inFile = new Map(
    config === undefined
      ? []
      : parseProperties(readFileSync(at(config), 'latin1'), config).map(({ key, value }) => [key, value] as const),
  );
  const vmargs = inFile.get('vmargs');
  if (vmargs) io.stdout.write(`Warning: TorchServe is using non-default JVM parameters: ${vmargs}\n`);
  if (flags.modelStore === undefined && !inFile.get('model_store')) {
    throw refuse('Missing mandatory parameter --model-store');
  }
  for (const [flag, path] of [
    ['--model-store', flags.modelStore],
    ['--workflow-store', flags.workflowStore],
  ] as const) {
    if (path !== undefined && !isDirectory(at(path))) throw refuse(`${flag} directory not found: ${path}`);
  }
}

/** The flags as `davy serve` spells them. */
export function serveArguments(flags: TorchserveFlags): readonly string[] {
  const valued = [
    ['--config', flags.tsConfig],
    ['--model-store', flags.modelStore],
    ['--workflow-store', flags.workflowStore],
    ['--log-config', flags.logConfig],
    ['--cpp-log-config', flags.cppLogConfig],
    ['--plugins-path', flags.pluginsPath],
    ['--isolation', flags.isolation],
  ].flatMap(([flag, value]) => (value === undefined ? [] : [`${flag}=${value}`]));
  const switches = [
    ['--no-config-snapshots', flags.configSnapshots === false],
    ['--disable-token-auth', flags.disableTokenAuth],
    ['--enable-model-api', flags.enableModelApi],
    ['--insecure-bind', flags.insecureBind],
  ].flatMap(([flag, isOn]) => (isOn ? [String(flag)] : []));
  return [...valued, ...switches, ...(flags.models ?? []).map((model) => `--models=${model}`)];
}

/** The server keeps our stdout and stderr and outlives us: callers read its log through the pipe they gave us. */
function detach(io: Io, args: readonly string[], pidFile: string): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, DAVY, ...args], {
    cwd: io.cwd,
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((settle, reject) => {
    child.on('error', (cause) => reject(new Fault('invalid_configuration', 'Cannot start the server.', { cause })));
    child.on('spawn', () => {
      // Written here, so that a `--stop` right after this command finds it.
      createPidFile(pidFile, child.pid ?? 0);
      child.unref();
      settle(EXIT.ok);
    });
  });
}

/** Three folders up from src/app/cli and from dist/app/cli alike. */
const DAVY = join(import.meta.dirname, '../../../bin/davy');

const refuse = (message: string): Fault => new Fault('invalid_configuration', message);
