// What a file's name promises about its content.

export type NameKind =
  | 'torch'
  | 'safetensors'
  | 'onnx'
  | 'gguf'
  | 'npy'
  | 'npz'
  | 'unsupported'
  | 'native'
  | 'python'
  | 'requirements'
  | 'startup'
  | 'archive'
  | 'text'
  | 'image'
  | 'other';

const EXTENSIONS: Readonly<Record<Exclude<NameKind, 'other' | 'requirements' | 'startup'>, string>> = {
  torch: 'pt pth ptl bin ckpt th pkl pickle p joblib dill',
  safetensors: 'safetensors',
  onnx: 'onnx',
  gguf: 'gguf ggml',
  npy: 'npy',
  npz: 'npz',
  unsupported: 'h5 hdf5 keras pb pbtxt tflite mlmodel pt2 pte ort mat rds trt engine',
  native: 'so dll dylib exe pyd pyc pyo node jar class wasm',
  python: 'py',
  archive: 'zip mar tar tgz gz bz2 xz zst 7z rar whl egg war',
  text: 'txt json jsonl md rst yaml yml csv tsv html htm css js mjs ts toml ini cfg conf properties xml jinja jinja2 vocab merges sh bat ps1 proto log pyi ipynb',
  image: 'png jpg jpeg gif webp bmp ico',
};

const KIND_BY_EXTENSION = new Map(
  Object.entries(EXTENSIONS).flatMap(([kind, list]) =>
    list.split(' ').map((word) => [word, kind as NameKind] as const),
  ),
);

/** Versioned shared libraries end in digits: libfoo.so.1.2. */
const VERSIONED_LIBRARY = /\.so(\.\d+)+$/;

/** What Python's site module imports, as a file or as a package. */
const STARTUP_MODULE = /(^|\/)(site|user)customize(\/__init__)?\.py[co]?$/i;

export function kindOfName(name: string): NameKind {
  const base = name.slice(name.lastIndexOf('/') + 1).toLowerCase();
  if (STARTUP_MODULE.test(name)) return 'startup';
  if (/^requirements[\w.-]*\.txt$/.test(base)) return 'requirements';
  if (VERSIONED_LIBRARY.test(base)) return 'native';
  const dot = base.lastIndexOf('.');
  return (dot < 0 ? undefined : KIND_BY_EXTENSION.get(base.slice(dot + 1))) ?? 'other';
}
