// What an archive says about itself, checked against what it really holds.
import { checkHandler } from './handler.ts';
import {
  DEFAULT_MANIFEST,
  MANIFEST_NAME,
  MAX_MANIFEST_BYTES,
  parseManifest,
  referencedFiles,
  type Manifest,
} from './manifest.ts';
import { MAX_CONFIG_BYTES, parseModelConfig, type ModelConfig } from './model-config.ts';
import { invalidModel, quote } from './refusal.ts';

export interface ArchiveDescription {
  readonly manifest: Manifest;
  /** The serving keys of model-config.yaml; null without one, or with one that cannot be parsed. */
  readonly config: ModelConfig | null;
  /** Everything in model-config.yaml, for the worker. */
  readonly rawConfig: Readonly<Record<string, unknown>> | null;
  readonly warnings: readonly string[];
  /** Of these, what concerns model-config.yaml: keys that are wrong and therefore ignored. */
  readonly configWarnings: readonly string[];
}

/** `read` gives a whole file of the archive and refuses one of more than `maxBytes`. Throws `invalid_model`. */
export async function describeArchive(
  files: readonly string[],
  read: (name: string, maxBytes: number) => Promise<Uint8Array>,
): Promise<ArchiveDescription> {
  const present = new Set(files);
  const manifest = present.has(MANIFEST_NAME)
    ? parseManifest(await read(MANIFEST_NAME, MAX_MANIFEST_BYTES))
    : DEFAULT_MANIFEST;
  for (const [key, file] of referencedFiles(manifest)) {
    if (!present.has(file)) throw invalidModel(`The manifest's ${key} ${quote(file)} is not a file of the archive.`);
  }
  if (manifest.handler !== undefined) checkHandler(manifest.handler, files, manifest.runtime);
  const { configFile } = manifest;
  if (configFile === undefined)
    return { manifest, config: null, rawConfig: null, warnings: manifest.warnings, configWarnings: [] };
  const parsed = parseModelConfig(await read(configFile, MAX_CONFIG_BYTES), configFile);
  if ('failed' in parsed) {
    const warnings = [...manifest.warnings, parsed.failed];
    return { manifest, config: null, rawConfig: null, warnings, configWarnings: [parsed.failed] };
  }
  return {
    manifest,
    config: parsed.config,
    rawConfig: parsed.raw,
    warnings: [...manifest.warnings, ...parsed.warnings],
    configWarnings: parsed.warnings,
  };
}
