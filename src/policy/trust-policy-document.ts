// The trust policy file: YAML in, a TrustPolicy out, and a refusal for whatever is not understood to the last key.
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { Fault, FINDINGS, type FindingCode } from '../kernel/index.ts';
import { RELAXABLE } from './admission.ts';
import {
  MODEL_FORMATS,
  type Requirements,
  type SignerSource,
  type TrustPolicy,
  type TrustRule,
} from './trust-policy.ts';

/** A policy of ten thousand rules fits; more is no policy. */
const MAX_POLICY_CHARS = 4 * 1024 * 1024;

/** `site` names the file. Throws `invalid_configuration` with the place in the document. */
export function parseTrustPolicy(text: string, site: string): TrustPolicy {
  const refuse = (problem: string): Fault => new Fault('invalid_configuration', `${site}: ${problem}`);
  if (text.length > MAX_POLICY_CHARS) throw refuse('the trust policy is too large.');
  const parsed = POLICY.safeParse(readYaml(text, refuse));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
    throw refuse(`${place}${issue?.message ?? 'it is no trust policy'}.`);
  }
  const { signers, rules, default: fallback } = parsed.data;
  const sources = new Map(Object.entries(signers).map(([name, entry]) => [name, sourceOf(name, entry, refuse)]));
  const all: readonly TrustRule[] = [
    ...rules.map(({ models, ...entry }, at) => ({
      name: `rule ${at + 1} (${models.join(', ')})`,
      models,
      requirements: requirementsOf(entry),
    })),
    { name: 'default rule', models: ['*'], requirements: requirementsOf(fallback) },
  ];
  for (const { name, requirements } of all) {
    const named = requirements === 'deny' ? [] : (requirements.signedBy ?? []);
    const unknown = named.find((signer) => !sources.has(signer));
    if (unknown !== undefined) throw refuse(`${name}: there is no signer called ${unknown}.`);
  }
  return { signers: sources, rules: all };
}

const TEXT = z.string().min(1);
/** One entry may stand without its list. */
const list = <T extends z.ZodType>(item: T) =>
  z.preprocess(
    (value) => (Array.isArray(value) ? value : [value]),
    z.array(item).min(1, 'a list needs an entry; leave the key out instead'),
  );
const DIGEST = z
  .string()
  .regex(/^(sha256:)?[0-9a-f]{64}$/, 'a digest is 64 digits of lower-case hex')
  .transform((text) => text.replace('sha256:', ''));
const CODE = z
  .enum(Object.keys(FINDINGS) as [FindingCode, ...FindingCode[]], 'there is no finding with this code')
  .refine((code) => RELAXABLE.has(code), 'this finding cannot be accepted; docs/admission.md lists the relaxable ones');

const REQUIREMENTS = {
  signature: list(TEXT).optional(),
  sha256: list(DIGEST).optional(),
  formats: list(z.enum(MODEL_FORMATS, `a format is one of ${MODEL_FORMATS.join(', ')}`)).optional(),
  scanners: list(TEXT).default([]),
  allow: list(CODE).default([]),
  immutable: z.boolean().optional(),
  deny: z.literal(true, 'deny can only be true').optional(),
};
const SIGNER = z.strictObject({
  key: list(TEXT).optional(),
  roots: list(TEXT).optional(),
  trusted_root: TEXT.optional(),
  identity: TEXT.optional(),
  issuer: TEXT.optional(),
  accept_expired: z.boolean().optional(),
});
const POLICY = z.strictObject({
  version: z.literal(1, 'the version of this format is 1'),
  signers: z
    .record(z.string().regex(/^[\w.-]{1,64}$/, 'a signer’s name has letters, digits, . _ and -'), SIGNER)
    .default({}),
  rules: z.array(z.strictObject({ models: list(TEXT), ...REQUIREMENTS })).default([]),
  // Wanted, so that nobody has to guess what happens to the models that no rule names.
  default: z.preprocess(
    (value) => (value === 'deny' ? { deny: true } : value === 'allow' ? {} : value),
    z.strictObject(REQUIREMENTS, {
      error: ({ code }) => (code === 'invalid_type' ? 'say deny, allow, or what is required' : undefined),
    }),
  ),
});

type SignerEntry = z.infer<typeof SIGNER>;
type RequirementsEntry = Omit<z.infer<typeof POLICY>['rules'][number], 'models'>;

function sourceOf(name: string, entry: SignerEntry, refuse: (problem: string) => Fault): SignerSource {
  const { key, roots, trusted_root: trustedRoot, identity, issuer, accept_expired: acceptsExpired } = entry;
  const others = (allowed: readonly (keyof SignerEntry)[]): void => {
    const stray = (Object.keys(entry) as (keyof SignerEntry)[]).find((word) => !allowed.includes(word));
    if (stray !== undefined) throw refuse(`signers.${name}: ${stray} does not go with ${allowed[0]}.`);
  };
  if (key !== undefined) {
    others(['key']);
    return { method: 'key', keys: key };
  }
  if (roots !== undefined) {
    others(['roots', 'identity', 'accept_expired']);
    return { method: 'certificate', roots, identity, acceptsExpired: acceptsExpired === true };
  }
  others(['trusted_root', 'identity', 'issuer']);
  if (trustedRoot !== undefined && identity !== undefined && issuer !== undefined) {
    return { method: 'keyless', trustedRoot, identity, issuer };
  }
  throw refuse(`signers.${name}: give key, or roots, or trusted_root with identity and issuer.`);
}

function requirementsOf(entry: RequirementsEntry): Requirements | 'deny' {
  if (entry.deny === true) return 'deny';
  const { signature, sha256, formats, scanners, allow, immutable } = entry;
  return {
    signedBy: signature,
    digests: sha256,
    formats,
    scanners,
    allow,
    // Whoever names a signer or a digest speaks of releases, and a release does not change.
    isImmutable: immutable ?? (signature !== undefined || sha256 !== undefined),
  };
}

function readYaml(text: string, refuse: (problem: string) => Fault): unknown {
  const document = parseDocument(text, { schema: 'core', merge: false, uniqueKeys: true, prettyErrors: true });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) throw refuse(problem.message.split('\n')[0]!.replace(/:$/, '.'));
  try {
    return document.toJS({ maxAliasCount: 0 }) as unknown;
  } catch {
    throw refuse('aliases are not used in a trust policy.');
  }
}
