// The `torch-model-archiver` command.
import { Command } from 'commander';
import { expandAbbreviations } from './abbreviations.ts';
import { addArchiveOptions, archive } from './archive.ts';
import { EXIT, type Io, exitStatus, processIo } from './io.ts';
import { parse } from './main.ts';

export async function main(args: readonly string[], io: Io = processIo()): Promise<number> {
  let status: number = EXIT.ok;
  const program = addArchiveOptions(
    new Command('torch-model-archiver').description('Packs a model into an archive that a model server loads.'),
  ).action(async (flags) => {
    // Whatever is refused is 1 here; 2 is for flags that do not parse, as argparse has it.
    status = (await exitStatus(io, () => archive(io, flags))) === EXIT.ok ? EXIT.ok : EXIT.failed;
  });
  return parse(program, expandAbbreviations(program, args), io, () => status);
}
