// Signatures on disk: keys, the files they cover, and the records of what was registered.
export { embedSignature } from './embed-signature.ts';
export { readCertificates, readPrivateKey, readPublicKey, readTrustedRoot } from './key-files.ts';
export { RegisteredVersions, type RegisteredVersion } from './registered-versions.ts';
export { createTrustJudge, type TrustJudgeOptions } from './trust-judge.ts';
export { signModel, verifyModel, type CheckedModel, type SignModelOptions } from './sign-model.ts';
