// The `davy` command: its words, its help, and which file does the work.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Argument, Command, CommanderError } from 'commander';
import { addArchiveOptions } from './archive.ts';
import { addServerOptions, count } from './client-options.ts';
import { SERVER_VERSION } from '../version.ts';
import { addConvertOptions } from './convert.ts';
import { EXIT, type Io, exitStatus, processIo } from './io.ts';
import { addMigrateOptions } from './migrate.ts';
import { addScanOptions } from './scan.ts';
import { addServeOptions } from './serve-options.ts';
import { addSignOptions, addVerifyOptions } from './sign.ts';

/** Returns the exit status. Each command's module is loaded when it is called for, so that none waits for the others. */
export async function main(args: readonly string[], io: Io = processIo()): Promise<number> {
  let status: number = EXIT.ok;
  const run = (command: () => Promise<number>) => async () => {
    status = await exitStatus(io, command);
  };
  const program = new Command('davy')
    .description('Serves models: a drop-in successor to TorchServe that trusts neither models nor requests.')
    .addHelpText('after', EXAMPLES)
    .version(versionText(), '-v, --version', 'print the version of Davy and of the TorchServe surface it serves')
    .showHelpAfterError('(davy --help shows the commands, davy COMMAND --help its options)')
    // `davy archive --version 1.0` is not ours.
    .enablePositionalOptions()
    .showSuggestionAfterError();
  addServing(program, io, run);
  addModels(program, io, run);
  addPredicting(program, io, run);
  addTools(program, io, run);
  return parse(program, args, io, () => status);
}

/** Commander's own endings become exit statuses: help 0, wrong usage 2. Shared by the two TorchServe commands. */
export async function parse(program: Command, args: readonly string[], io: Io, status: () => number): Promise<number> {
  const configure = (command: Command): void => {
    command.exitOverride().configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
    });
    command.commands.forEach(configure);
  };
  configure(program);
  try {
    await program.parseAsync(args, { from: 'user' });
    return status();
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
  }
}

/** Three folders up from src/app/cli and from dist/app/cli alike. */
function versionText(): string {
  const path = join(import.meta.dirname, '../../../package.json');
  const { version } = JSON.parse(readFileSync(path, 'utf8')) as { readonly version: string };
  return `Davy ${version} (TorchServe ${SERVER_VERSION})`;
}

type Run = (command: () => Promise<number>) => () => Promise<void>;

const EXAMPLES = `
Examples:
  davy serve --model-store models --models all      serve every archive in ./models
  davy predict digits image.png                     send one image to the model "digits"
  davy models register resnet.mar --workers 2       needs a server started with --enable-model-api
  curl -H "Authorization: Bearer $(davy token show inference)" http://127.0.0.1:8080/ping

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no server answers.`;

function addServing(program: Command, io: Io, run: Run): void {
  const serve = addServeOptions(program.command('serve').description('start a server and stay until it is stopped'))
    .option('--pid-file <file>', 'for davy stop (default: .model_server.pid in the temporary directory)')
    .addHelpText('after', SERVE_EXAMPLES);
  serve.action((options) => run(async () => (await import('./serve.ts')).serve(io, options))());
  program
    .command('stop')
    .description('stop the running server after it has answered what it accepted')
    .option('--pid-file <file>', 'as given to davy serve')
    .action((options) => run(async () => (await import('./stop.ts')).stop(io, options))());
  addServerOptions(program.command('status').description('health, models and their ready workers'))
    .option('--json', 'for machines')
    .option('--wait <seconds>', 'wait until the server answers and every worker is ready, at most so long')
    .action((options) => run(async () => (await import('./status.ts')).status(io, options))());
  addServeOptions(program.command('config').description('print the effective settings and where each came from'))
    .option('--changed', 'only what differs from the defaults')
    .option('--json', 'for machines')
    .action((options) => run(async () => (await import('./config.ts')).showConfig(io, options))());
}

const SERVE_EXAMPLES = `
Examples:
  davy serve --model-store models --models digits.mar
  davy serve --config config.properties
  davy serve -s models -m all --inference-address https://0.0.0.0:8443 --set certificate_file=cert.pem \\
             --set private_key_file=key.pem

SIGTERM or Ctrl-C lets accepted requests finish; a second one does not wait.`;

function addModels(program: Command, io: Io, run: Run): void {
  const models = program.command('models').description('list, describe, register, scale and unregister models');
  const command = (name: string, description: string): Command =>
    addServerOptions(models.command(name).description(description)).option('--json', 'for machines');
  const load = () => import('./models.ts');
  const version = ['--version <version>', 'default: the default version'] as const;

  command('list', 'names and archives').action((options) => run(async () => (await load()).listModels(io, options))());
  command('describe <model>', 'settings, state and workers of a model')
    .option('--version <version>', 'a version, or all')
    .option('--customized', "with the handler's own description")
    .action((model, options) => run(async () => (await load()).describeModel(io, model, options))());
  command('register <archive>', 'load an archive from the model store, or a URL of allowed_urls')
    .option('--name <name>', 'default: the name in the archive')
    .option('--workers <n>', 'workers to start', count, 1)
    .option('--batch-size <n>', 'requests per batch', count)
    .option('--max-batch-delay <ms>', 'how long a batch waits to fill', count)
    .option('--response-timeout <s>', 'for one batch', count)
    .option('--startup-timeout <s>', 'for loading', count)
    .option('--handler <handler>', "instead of the archive's")
    .option('--runtime <runtime>', "instead of the archive's")
    .option('--no-wait', 'do not wait for the workers')
    .action((url, options) => run(async () => (await load()).registerModel(io, url, options))());
  models.addHelpText(
    'after',
    '\nExample:\n  davy models register digits.mar --workers 2 && davy models describe digits',
  );
  addScale(command, io, run);
  command('unregister <model>', 'stop its workers and take it out of service')
    .option(...version)
    .action((model, options) => run(async () => (await load()).unregisterModel(io, model, options))());
  command('set-default <model> <version>', 'which version answers requests that name none').action(
    (model, wanted, options) => run(async () => (await load()).setDefaultVersion(io, model, wanted, options))(),
  );
  addServeOptions(
    models.command('forget <model> <version>').description('let a version be registered with other content again'),
  )
    .addHelpText('after', FORGET_HELP)
    .action((model, wanted, options) =>
      run(async () => (await import('./forget.ts')).forgetVersion(io, model, wanted, options))(),
    );
}

const FORGET_HELP = `
Give the same --config (or --set state_dir=DIR) as the server: its state directory keeps the record.
What is registered at the moment stays registered.`;

function addScale(command: (name: string, description: string) => Command, io: Io, run: Run): void {
  command('scale <model>', 'change the number of workers')
    .addArgument(new Argument('<workers>', 'how many; 0 stops all').argParser(count))
    .option('--max <n>', 'upper bound (default: the same)', count)
    .option('--version <version>', 'default: the default version')
    .option('--no-wait', 'do not wait for the workers')
    .action((model, workers, options) =>
      run(async () => (await import('./models.ts')).scaleModel(io, model, workers, options))(),
    );
}

function addPredicting(program: Command, io: Io, run: Run): void {
  addServerOptions(program.command('predict').description('send one request to a model and print its answer'))
    .argument('<model>')
    .argument('[file]', 'input; - or nothing reads standard input')
    .option('--data <text>', 'input on the command line')
    .option('--json', 'the input is JSON (same as --content-type application/json)')
    .option('--content-type <type>', 'default: by the name of the file')
    .option('--header <line...>', 'further request headers, "Name: value"')
    .option('--version <version>', 'default: the default version')
    .addHelpText(
      'after',
      '\nExamples:\n  davy predict digits seven.png\n  echo \'{"x": 1}\' | davy predict echo --json',
    )
    .action((model, file, options) =>
      run(async () => (await import('./predict.ts')).predict(io, model, file, options))(),
    );
}

function addTools(program: Command, io: Io, run: Run): void {
  const token = program.command('token').description("the server's three keys");
  token
    .command('show', { isDefault: true })
    .description('print key_file.json, or one bare key')
    .addArgument(new Argument('[type]').choices(['inference', 'management', 'API']))
    .option('--token-file <file>', 'default: ./key_file.json')
    .action((type, options) => run(async () => (await import('./token.ts')).showTokens(io, type, options))());
  addServerOptions(token.command('rotate').description('have the running server replace a key'))
    .addArgument(new Argument('<type>').choices(['inference', 'management']))
    .action((type, options) => run(async () => (await import('./token.ts')).rotateToken(io, type, options))());
  addArchiveOptions(program.command('archive').description('pack a model into a .mar, as torch-model-archiver does'))
    .addHelpText('after', ARCHIVE_EXAMPLE)
    .action((flags) => run(async () => (await import('./archive.ts')).archive(io, flags))());
  addServeOptions(
    program.command('doctor').description('attack every isolation level from inside and explain what is found'),
  )
    .option('--json', 'for machines')
    .action((options) => run(async () => (await import('./doctor.ts')).doctor(io, options))());
  addMigrateOptions(
    program.command('migrate').description('say what of a TorchServe directory stays and what to write instead'),
  ).action((directory, flags) => run(async () => (await import('./migrate.ts')).migrate(io, directory, flags))());
  addConvertOptions(program.command('convert').description('write a torch checkpoint as safetensors')).action(
    (input, output, flags) => run(async () => (await import('./convert.ts')).convert(io, input, output, flags))(),
  );
  addScanOptions(
    program.command('scan').description('say whether model files hold only data, without a server'),
  ).action((paths, flags) => run(async () => (await import('./scan.ts')).scan(io, paths, flags))());
  addSigning(program, io, run);
}

function addSigning(program: Command, io: Io, run: Run): void {
  addSignOptions(
    program.command('sign').description('sign a model by key or certificate (OpenSSF Model Signing)'),
  ).action((path, flags) => run(async () => (await import('./sign.ts')).sign(io, path, flags))());
  addVerifyOptions(
    program.command('verify').description('say who signed a model, and that no file of it was changed'),
  ).action((path, flags) => run(async () => (await import('./sign.ts')).verify(io, path, flags))());
}

export const ARCHIVE_EXAMPLE = `
Example:
  davy archive --model-name digits --version 1.0 --handler handler.py --serialized-file digits.safetensors \\
               --model-file model.py --export-path models`;
