// `davy archive` and `torch-model-archiver`: the flags of surface spec 8.7 around the archive writer.
import { type Command, Option } from 'commander';
import { EXIT, type Io, withProgress } from './io.ts';

export interface ArchiveFlags {
  readonly modelName: string;
  readonly version: string;
  readonly handler: string;
  readonly serializedFile?: string;
  readonly modelFile?: string;
  readonly extraFiles?: string;
  readonly runtime: string;
  readonly exportPath?: string;
  readonly archiveFormat: 'default' | 'zip-store' | 'tgz' | 'no-archive';
  readonly force?: boolean;
  readonly requirementsFile?: string;
  readonly configFile?: string;
}

export function addArchiveOptions(command: Command): Command {
  const formats = ['default', 'zip-store', 'tgz', 'no-archive'];
  return command
    .requiredOption('--model-name <name>', 'name of the model and of the archive')
    .requiredOption('-v, --version <version>', 'version of the model')
    .requiredOption('--handler <handler>', 'built-in handler, file.py, file.py:function, or a model server path')
    .option('--serialized-file <file>', 'weights')
    .option('--model-file <file>', 'Python file with the model class')
    .option('--extra-files <list>', 'files and directories with commas between them, wildcards allowed')
    .addOption(new Option('--runtime <runtime>', 'which worker runs it').default('python'))
    .option('--export-path <dir>', 'where the archive goes (default: here)')
    .addOption(new Option('--archive-format <format>', 'container').choices(formats).default('default'))
    .option('-f, --force', 'overwrite an existing archive')
    .option('-r, --requirements-file <file>', 'Python requirements of the model')
    .option('-c, --config-file <file>', 'model-config.yaml of the model');
}

export async function archive(io: Io, flags: ArchiveFlags): Promise<number> {
  const { writeArchive } = await import('../../store/index.ts');
  const path = await withProgress(io, 'Writing the archive', writeArchive(flags));
  io.stdout.write(`${path}\n`);
  return EXIT.ok;
}
