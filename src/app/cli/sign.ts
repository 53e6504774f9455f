// `davy sign` and `davy verify`: OpenSSF Model Signing from the command line, on archives, directories and single files.
import type { Command } from 'commander';
import { Refusal, type TrustedSigner } from '../../archive/index.ts';
import { Fault, FINDINGS, Secret } from '../../kernel/index.ts';
import { EXIT, type Io, withProgress } from './io.ts';
import { printable } from './table.ts';

export interface SignFlags {
  readonly key: string;
  readonly cert?: readonly string[];
  readonly signature?: string;
  readonly embed?: boolean;
  readonly force?: boolean;
}

export function addSignOptions(command: Command): Command {
  return command
    .argument('<path>', 'an archive, a model directory or one model file')
    .requiredOption('--key <file>', 'private key, PEM (P-256, P-384 or P-521), readable by you alone')
    .option('--cert <file...>', "sign by certificate: the key's own first, then its issuers")
    .option('--signature <file>', 'where the signature goes (default: PATH.sig, or model.sig in a directory)')
    .option('--embed', 'put it into the archive, as MAR-INF/model.sig: for models that are downloaded')
    .option('-f, --force', 'replace a signature that is there')
    .addHelpText('after', SIGN_EXAMPLES);
}

const SIGN_EXAMPLES = `
Examples:
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out release.key && chmod 600 release.key
  davy sign models/digits.mar --key release.key
  davy sign models/digits.mar --key release.key --embed
  davy sign models/digits.mar --key release.key --cert release.pem issuing-ca.pem

The passphrase of an encrypted key is taken from the environment variable DAVY_KEY_PASSPHRASE.
An archive is signed by the files in it, so that packing it again does not break the signature.`;

/** Prints where the signature went. */
export async function sign(io: Io, path: string, flags: SignFlags): Promise<number> {
  const { embedSignature, readCertificates, readPrivateKey, signModel } = await import('../../store/index.ts');
  const passphrase = io.env['DAVY_KEY_PASSPHRASE'];
  const privateKey = await readPrivateKey(flags.key, passphrase ? new Secret(passphrase) : undefined);
  const chain = await readCertificates(flags.cert ?? []);
  const options = { path, privateKey, chain, signaturePath: flags.signature, overwrites: flags.force === true };
  const makeSignature = flags.embed === true ? embedSignature : signModel;
  const signing = makeSignature(options, new AbortController().signal).catch((thrown: unknown) => {
    throw thrown instanceof Refusal ? new Fault('usage', thrown.message) : thrown;
  });
  io.stdout.write(`${await withProgress(io, 'Reading the model', signing)}\n`);
  return EXIT.ok;
}

export interface VerifyFlags {
  readonly key?: readonly string[];
  readonly root?: readonly string[];
  readonly identity?: string;
  readonly issuer?: string;
  readonly trustedRoot?: string;
  readonly acceptExpired?: boolean;
  readonly signature?: string;
  readonly json?: boolean;
}

export function addVerifyOptions(command: Command): Command {
  return command
    .argument('<path>', 'an archive, a model directory or one model file')
    .option('--key <file...>', 'public keys that may have signed it, PEM')
    .option('--root <file...>', 'certificates of authorities whose signers may have signed it, PEM')
    .option('--identity <name>', "the signer's e-mail address, URI or subject, exactly (with --root or --issuer)")
    .option('--issuer <url>', 'keyless: who vouched for the identity')
    .option('--trusted-root <file>', 'keyless: trusted_root.json of the Sigstore instance')
    .option('--accept-expired', "with --root: accept a signer's certificate that has run out since")
    .option('--signature <file>', 'default: PATH.sig, else the one inside')
    .option('--json', 'for machines')
    .addHelpText('after', VERIFY_EXAMPLES);
}

const VERIFY_EXAMPLES = `
Examples:
  davy verify models/digits.mar --key release.pub
  davy verify models/digits.mar --root company-ca.pem --identity release@example.com
  davy verify models/digits.mar --identity release@example.com --issuer https://accounts.example.com \\
              --trusted-root trusted_root.json

Exit status: 0 signed by one of them and unchanged, 1 not, 2 wrong usage.`;

/** Exit status 0 only for a model that is, to its last file, what one of the named signers signed. */
export async function verify(io: Io, path: string, flags: VerifyFlags): Promise<number> {
  const { verifyModel } = await import('../../store/index.ts');
  const signers = await signersOf(flags);
  const checking = verifyModel(path, flags.signature, signers, new Date(), new AbortController().signal);
  try {
    const { signer, statement, kind, fileCount } = await withProgress(io, 'Reading the model', checking);
    const { method, identity } = signer;
    if (flags.json === true) {
      const result = {
        file: path,
        verified: true,
        method,
        identity,
        kind,
        files: fileCount,
        root: statement.rootDigest,
      };
      io.stdout.write(`${JSON.stringify(result)}\n`);
    } else {
      io.stdout.write(
        `verified  ${printable(path)}\n  signed by ${method} ${printable(identity)}, ${fileCount} ${fileCount === 1 ? 'file' : 'files'}\n`,
      );
    }
    return EXIT.ok;
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    const { code, message } = thrown;
    if (flags.json === true) io.stdout.write(`${JSON.stringify({ file: path, verified: false, code, message })}\n`);
    else {
      const { remedy } = FINDINGS[code];
      io.stdout.write(`NOT VERIFIED  ${printable(path)}\n  ${code}: ${printable(message)}\n  ${remedy}\n`);
    }
    return EXIT.failed;
  }
}

async function signersOf(flags: VerifyFlags): Promise<readonly TrustedSigner[]> {
  const { readCertificates, readPublicKey, readTrustedRoot } = await import('../../store/index.ts');
  const { key = [], root = [], identity, issuer, trustedRoot } = flags;
  const signers: TrustedSigner[] = [];
  for (const path of key) signers.push({ method: 'key', name: path, key: await readPublicKey(path) });
  if (root.length > 0) {
    const roots = await readCertificates(root);
    const acceptsExpired = flags.acceptExpired === true;
    signers.push({ method: 'certificate', name: root.join(', '), roots, identity, acceptsExpired });
  }
  if (issuer !== undefined || trustedRoot !== undefined) {
    if (issuer === undefined || trustedRoot === undefined || identity === undefined) {
      throw new Fault('usage', 'Keyless signatures need --identity, --issuer and --trusted-root, all three.');
    }
    const parsed = await readTrustedRoot(trustedRoot);
    signers.push({ method: 'keyless', name: identity, trustedRoot: parsed, identity, issuer });
  }
  if (signers.length > 0) return signers;
  throw new Fault(
    'usage',
    'Say who may have signed it: --key, --root, or --identity with --issuer and --trusted-root.',
  );
}
