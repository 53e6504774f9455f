// Names that reach paths, log lines, metric labels and process titles, so what they may hold is decided once.
import { Fault } from '../kernel/index.ts';

declare const brand: unique symbol;
export type ModelName = string & { readonly [brand]: 'ModelName' };
export type ModelVersion = string & { readonly [brand]: 'ModelVersion' };

/** The archiver's rule (surface spec 8.7) plus a length; TorchServe's server checked nothing. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/;

export function parseModelName(text: string): ModelName {
  if (!NAME.test(text)) {
    throw new Fault(
      'bad_request',
      'Invalid model name: it must begin with a letter or digit, hold only letters, digits, ".", "_" and "-", and be at most 128 characters long.',
    );
  }
  return text as ModelName;
}

export function parseModelVersion(text: string): ModelVersion {
  if (!VERSION.test(text) || text === 'all') {
    throw new Fault(
      'invalid_model',
      'Invalid model version: it must begin with a letter or digit, hold only letters, digits, ".", "_", "+" and "-", be at most 64 characters long, and not be "all".',
    );
  }
  return text as ModelVersion;
}
