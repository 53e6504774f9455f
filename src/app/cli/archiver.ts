// The `torch-model-archiver` command.
import { Command } from 'commander';
import { addArchiveOptions, archive } from './archive.ts';
import { EXIT, type Io, exitStatus, processIo } from './io.ts';
import { parse } from './main.ts';

export async function main(args: readonly string[], io: Io = processIo()): Promise<number> {
  let status: number = EXIT.ok;
  const program = addArchiveOptions(
    new Command('torch-model-archiver').description('Packs a model into an archive that a model server loads.'),
  ).action(async (flags) => {
    status = await exitStatus(io, () => archive(io, flags));
  });
  return parse(program, args, io, () => status);
}
