// Signatures of models: OpenSSF Model Signing v1.0. Pure: bytes and keys in, verdicts out.
export { MAX_BUNDLE_BYTES, parseBundle, preAuthenticationEncoding, type SignatureBundle } from './bundle.ts';
export {
  ARCHIVED_SIGNATURE_NAME,
  SIGNATURE_NAME,
  coversArchive,
  isSignatureName,
  requireSignedFiles,
  signatureNameIn,
} from './compare.ts';
export { signFiles, type SigningRequest } from './sign.ts';
export { hashOfKey, keyHint } from './signing-key.ts';
export { GIT_PATHS, parseStatement, renderStatement, SINGLE_FILE, type Statement } from './statement.ts';
export { verifySignature, type Signer, type TrustedSigner, type VerifiedSignature } from './verify.ts';
