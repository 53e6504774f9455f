// `davy convert`: a torch checkpoint as safetensors, without Python and without unpickling.
import type { Command } from 'commander';
import { Fault } from '../../kernel/index.ts';
import { EXIT, type Io, withProgress } from './io.ts';
import { printable } from './table.ts';

export interface ConvertFlags {
  readonly force?: boolean;
}

export function addConvertOptions(command: Command): Command {
  return command
    .argument('<checkpoint>', '.pt, .pth, .bin or .ckpt that holds a state_dict')
    .argument('[output]', 'default: the same name with .safetensors')
    .option('-f, --force', 'overwrite an existing file')
    .addHelpText('after', CONVERT_NOTES);
}

const CONVERT_NOTES = `
Example:
  davy convert model.pt && davy scan model.safetensors

The checkpoint passes the same inspection as davy scan. Tensors keep their names, shapes, types and bits; nested
containers are joined with dots; values that are no tensors are listed and left out.`;

export async function convert(io: Io, input: string, output: string | undefined, flags: ConvertFlags): Promise<number> {
  const target = output ?? `${input.replace(/\.(pt|pth|bin|ckpt|th|pkl)$/i, '')}.safetensors`;
  if (target === input) throw new Fault('usage', 'The output would overwrite the checkpoint.');
  const { convertFile } = await import('../scan/convert-file.ts');
  const work = convertFile(input, target, flags.force === true);
  const { tensors, byteLength, dropped } = await withProgress(io, 'Converting', work);
  for (const path of dropped) io.stderr.write(`left out: ${printable(path)}\n`);
  io.stdout.write(`${printable(target)}: ${tensors} tensors, ${byteLength} bytes\n`);
  return EXIT.ok;
}
