export { createKeyFile, type KeyFile, type KeyFileOptions } from './key-file.ts';
export { createModelStore, type LocalModelStore, type ModelStoreOptions } from './models/model-store.ts';
export { AdmissionThreads } from './admission-thread/admission-threads.ts';
export { PackageFolders, type PackageFoldersOptions } from './packages/package-folders.ts';
export { createScanners, greetScanners } from './scanners/create-scanners.ts';
export { type DownloadOptions } from './sources/download.ts';
export { parseAllowedUrls, type AllowedUrls } from './sources/allowed-urls.ts';
export { writeArchive, type ArchiveFormat, type ArchiveOptions } from './archiver/write-archive.ts';
export { fileForInspection, unpackForInspection, type UnpackedArchive } from './models/inspection-source.ts';
export { writeSnapshot } from './snapshots.ts';
export { claimLock } from './process-lock.ts';
export { claimStateDirectory } from './state-directory.ts';
export {
  createTrustJudge,
  embedSignature,
  readCertificates,
  readPrivateKey,
  readPublicKey,
  readTrustedRoot,
  RegisteredVersions,
  signModel,
  verifyModel,
  type CheckedModel,
} from './provenance/index.ts';
