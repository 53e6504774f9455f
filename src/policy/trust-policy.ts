// The operator's word on which models may be served: by name, who must have signed them, which digests and formats they may
// have, which findings are accepted. Pure. Whatever a rule says, the inspection and the scanners have run before it is asked.
import { makeFinding, type Finding, type FindingCode } from '../kernel/index.ts';
import { admissionVerdict, nameMatches, type AdmissionVerdict } from './admission.ts';

export const MODEL_FORMATS = ['safetensors', 'onnx', 'torch', 'torchscript', 'gguf', 'npy', 'npz', 'other'] as const;
export type ModelFormat = (typeof MODEL_FORMATS)[number];

/** Where a signer's keys lie; paths as the policy writes them. */
export type SignerSource =
  | { readonly method: 'key'; readonly keys: readonly string[] }
  | {
      readonly method: 'certificate';
      readonly roots: readonly string[];
      readonly identity: string | undefined;
      readonly acceptsExpired: boolean;
    }
  | { readonly method: 'keyless'; readonly trustedRoot: string; readonly identity: string; readonly issuer: string };

/** What a model must satisfy; everything that is given counts. */
export interface Requirements {
  /** Names of signers, one of whom must have signed it. Undefined: no signature is asked for. */
  readonly signedBy: readonly string[] | undefined;
  /** Lower-case hex sha256, one of which must be the model's. */
  readonly digests: readonly string[] | undefined;
  readonly formats: readonly ModelFormat[] | undefined;
  /** Names of scanners that must be configured as required. */
  readonly scanners: readonly string[];
  /** Findings that are accepted (only relaxable ones can be). */
  readonly allow: readonly FindingCode[];
  /** A version keeps its digest for ever, over restarts, too. */
  readonly isImmutable: boolean;
}

export interface TrustRule {
  /** For people: where it stands in the policy. */
  readonly name: string;
  /** Name patterns; `*` stands for any run of characters. */
  readonly models: readonly string[];
  /** `deny`: no such model is served. */
  readonly requirements: Requirements | 'deny';
}

export interface TrustPolicy {
  readonly signers: ReadonlyMap<string, SignerSource>;
  /** In order; the last one matches every name. */
  readonly rules: readonly TrustRule[];
}

export const NO_REQUIREMENTS: Requirements = {
  signedBy: undefined,
  digests: undefined,
  formats: undefined,
  scanners: [],
  allow: [],
  isImmutable: false,
};

/** Without a policy file: what the inspection lets through is served. */
export const OPEN_POLICY: TrustPolicy = {
  signers: new Map(),
  rules: [{ name: 'built-in rule', models: ['*'], requirements: NO_REQUIREMENTS }],
};

/** The first rule for this name. */
export function ruleFor(policy: TrustPolicy, modelName: string): TrustRule {
  const rule = policy.rules.find(({ models }) => models.some((pattern) => nameMatches(pattern, modelName)));
  return rule ?? { name: 'no rule', models: [], requirements: 'deny' };
}

/** Every finding that some rule accepts: what the inspection may leave to the rule of the model. */
export function tolerated({ rules }: TrustPolicy): ReadonlySet<FindingCode> {
  return new Set(rules.flatMap(({ requirements }) => (requirements === 'deny' ? [] : requirements.allow)));
}

/** What is known of one model when its rule is asked. */
export interface TrustEvidence {
  readonly digest: string;
  /** Of the inspection and the scanners. */
  readonly findings: readonly Finding[];
  /** By member name; looked at only where the rule names formats. */
  readonly formats: ReadonlyMap<string, ModelFormat>;
  /** Why the signature does not count; null where one of the rule's signers signed exactly these files. */
  readonly signatureProblem: Finding | null;
  /** Names of scanners that had to find every model clean. */
  readonly requiredScanners: ReadonlySet<string>;
  /** With which this name and version was registered before; undefined: never. */
  readonly registeredDigest: string | undefined;
}

export interface TrustDecision {
  readonly verdict: AdmissionVerdict;
  /** Those of the evidence, and what the rule misses. */
  readonly findings: readonly Finding[];
}

export function judgeTrust({ name, requirements }: TrustRule, evidence: TrustEvidence): TrustDecision {
  if (requirements === 'deny') {
    const denied = makeFinding('model_not_trusted', `The trust policy denies it (${name}).`);
    return { verdict: 'deny', findings: [denied, ...evidence.findings] };
  }
  const findings = [...missing(requirements, evidence), ...evidence.findings];
  return { verdict: admissionVerdict(findings, new Set(requirements.allow)), findings };
}

function missing(wanted: Requirements, evidence: TrustEvidence): readonly Finding[] {
  const findings: Finding[] = [];
  const { digest, registeredDigest, signatureProblem, formats, requiredScanners } = evidence;
  if (wanted.isImmutable && registeredDigest !== undefined && registeredDigest !== digest) {
    const message = `This version was registered with sha256:${registeredDigest}; this is sha256:${digest}.`;
    findings.push(makeFinding('version_digest_changed', message));
  }
  if (wanted.digests !== undefined && !wanted.digests.includes(digest)) {
    findings.push(makeFinding('digest_not_pinned', `sha256:${digest} is not among the pinned digests.`));
  }
  if (wanted.signedBy !== undefined && signatureProblem !== null) findings.push(signatureProblem);
  for (const [member, format] of wanted.formats === undefined ? [] : formats) {
    if (wanted.formats?.includes(format)) continue;
    findings.push(makeFinding('format_not_allowed', `The format is ${format}.`, member));
  }
  for (const scanner of wanted.scanners.filter((wantedName) => !requiredScanners.has(wantedName))) {
    findings.push(makeFinding('scanner_required', `No required scanner is called ${scanner}.`));
  }
  return findings;
}
