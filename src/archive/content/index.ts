// The content half of the archive room: what the files of a model hold, without running any of it.
export { inspectContent, inspectFile } from './inspect.ts';
export { sniff, type Format } from './sniff.ts';
export { kindOfName, type NameKind } from './names.ts';
export { modelFormats, type ModelFormat } from './model-format.ts';
export { planConversion, type Conversion } from './convert.ts';
