// Packs the three archives of this example: the same network as ONNX, safetensors and TorchScript.
//
//   node tools/launch.js examples/digits/build.ts [folder]      (default: ./archives beside this file)
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeArchive } from '../../src/store/index.ts';

const HERE = import.meta.dirname;
const at = (name: string): string => join(HERE, name);
const LABELS = at('index_to_name.json');
const COMMON = { version: '1.0', configFile: at('model-config.yaml'), archiveFormat: 'default', force: true } as const;

const VARIANTS = {
  'digits-onnx': { runtime: 'onnx', handler: 'onnx', serializedFile: at('digits.onnx'), extraFiles: LABELS },
  'digits-safetensors': {
    runtime: 'python',
    handler: at('handler.py'),
    serializedFile: at('digits.safetensors'),
    modelFile: at('model.py'),
    extraFiles: LABELS,
  },
  'digits-torchscript': {
    runtime: 'python',
    handler: at('handler.py'),
    serializedFile: at('digits.pt'),
    extraFiles: LABELS,
  },
} as const;

export type DigitsVariant = keyof typeof VARIANTS;
export const DIGITS_VARIANTS = Object.keys(VARIANTS) as DigitsVariant[];

/** Writes `{variant}.mar` into a folder, which is made if it is missing, and gives back its path. */
export async function buildDigitsArchive(variant: DigitsVariant, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  return writeArchive({ modelName: variant, exportPath: folder, ...COMMON, ...VARIANTS[variant] });
}

if (import.meta.main) {
  const folder = resolve(process.argv[2] ?? at('archives'));
  for (const variant of DIGITS_VARIANTS) console.log(await buildDigitsArchive(variant, folder));
}
