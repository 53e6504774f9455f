// The archive room: readers and checks for untrusted bytes. No files, no sockets; bytes come through `RandomAccess`.
export { memoryAccess, sliceAccess, readExactly, readRange, type RandomAccess } from './random-access.ts';
export { DEFAULT_CONTAINER_LIMITS, unpackedCeiling, type ContainerLimits } from './limits.ts';
export { readMember, readWhole, type ContainerIndex, type Member } from './container.ts';
export { readZipIndex } from './zip-index.ts';
export { readTarIndex } from './tar-index.ts';
export { gunzip } from './gunzip.ts';
export { checkMemberName, NameLedger } from './member-name.ts';
export {
  DEFAULT_MANIFEST,
  MANIFEST_NAME,
  MAX_MANIFEST_BYTES,
  parseManifest,
  parseRuntime,
  referencedFiles,
  type Manifest,
} from './manifest.ts';
export { BUILT_IN_HANDLERS, checkHandler, parseHandler, type HandlerRuntime } from './handler.ts';
export {
  MAX_CONFIG_BYTES,
  parseModelConfig,
  readModelConfig,
  type ModelConfig,
  type ParsedConfig,
  type TorchrunConfig,
} from './model-config.ts';
export { describeArchive, type ArchiveDescription } from './description.ts';
export { fallbackModelName, fileNameOf } from './model-name.ts';
export { quote, refuse } from './refusal.ts';
export { MAX_REQUIREMENTS_BYTES, parseRequirements, type PinnedRequirement } from './requirements.ts';
export { bestWheel, installedName } from './wheel.ts';
export type { ContentInspector, Inspection, QuarantinedFile } from './inspection.ts';
export {
  inspectContent,
  inspectFile,
  modelFormats,
  planConversion,
  type Conversion,
  type ModelFormat,
} from './content/index.ts';
export {
  checkArchiveName,
  isLitter,
  planFiles,
  planHandler,
  renderManifest,
  type ArchiveRequest,
  type PlannedFile,
} from './archive-plan.ts';
export { TAR_END, tarHeader, tarPadding } from './tar-writer.ts';
export {
  ARCHIVED_SIGNATURE_NAME,
  coversArchive,
  GIT_PATHS,
  hashOfKey,
  isSignatureName,
  MAX_BUNDLE_BYTES,
  requireSignedFiles,
  SIGNATURE_NAME,
  signatureNameIn,
  signFiles,
  SINGLE_FILE,
  verifySignature,
  type Signer,
  type Statement,
  type TrustedSigner,
  type VerifiedSignature,
} from './provenance/index.ts';
export { Refusal } from './content/refusal.ts';
