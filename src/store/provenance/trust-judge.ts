// Decides by the operator's trust policy whether an admitted model may be served under a name: gathers the evidence, asks
// the policy room, keeps and tells the verdict.
import { realpath } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileNameOf, signatureNameIn, type Signer, type TrustedSigner } from '../../archive/index.ts';
import { Fault, makeFinding, type Clock, type Finding } from '../../kernel/index.ts';
import {
  isDenied,
  judgeTrust,
  ruleFor,
  type SignerSource,
  type TrustPolicy,
  type TrustRule,
} from '../../policy/index.ts';
import type { AdmissionJudge, AdmissionRecord, AdmittedModel, Announcements } from '../../serving/index.ts';
import type { AdmissionThreads } from '../admission-thread/admission-threads.ts';
import type { PublishedName } from '../admission-thread/jobs.ts';
import { fileForInspection } from '../models/inspection-source.ts';
import { fileAccess } from '../models/open-file.ts';
import { resolveLocal } from '../models/resolve-local.ts';
import { readCertificates, readPublicKey, readTrustedRoot } from './key-files.ts';
import { readSmall, sidecarOf } from './model-files.ts';
import { RegisteredVersions, type RegisteredVersion } from './registered-versions.ts';

export interface TrustJudgeOptions {
  readonly policy: TrustPolicy;
  /** The paths in the policy are relative to this file; undefined where there is none. */
  readonly policyFile: string | undefined;
  readonly stateDir: string;
  /** Where signatures lie beside their models. */
  readonly modelStores: readonly string[];
  /** Names of the scanners that must find every model clean. */
  readonly requiredScanners: ReadonlySet<string>;
  /** Every version keeps its digest, whatever its rule says. */
  readonly makesAllImmutable: boolean;
  readonly threads: AdmissionThreads;
  readonly clock: Clock;
  readonly announce: Announcements;
}

/** Reads every key and certificate that the policy names. Throws `invalid_configuration`. */
export async function createTrustJudge(options: TrustJudgeOptions): Promise<AdmissionJudge> {
  const base = options.policyFile === undefined ? '' : dirname(options.policyFile);
  const signers = new Map<string, readonly TrustedSigner[]>();
  for (const [name, source] of options.policy.signers) signers.set(name, await loadSigner(name, source, base));
  return new TrustJudge(options, signers);
}

class TrustJudge implements AdmissionJudge {
  readonly #options: TrustJudgeOptions;
  readonly #signers: ReadonlyMap<string, readonly TrustedSigner[]>;
  readonly #registered: RegisteredVersions;

  constructor(options: TrustJudgeOptions, signers: ReadonlyMap<string, readonly TrustedSigner[]>) {
    this.#options = options;
    this.#signers = signers;
    this.#registered = RegisteredVersions.at(options.stateDir);
  }

  async judge(model: AdmittedModel, name: string, version: string, signal: AbortSignal): Promise<AdmissionRecord> {
    const rule = this.#ruleFor(name);
    const { signer, problem } = await this.#signatureOf(model, rule, signal);
    const needsFormats = rule.requirements !== 'deny' && rule.requirements.formats !== undefined;
    const { verdict, findings } = judgeTrust(rule, {
      digest: model.digest,
      findings: model.findings ?? [],
      formats: needsFormats ? await this.#options.threads.formats(publishedFiles(model), signal) : new Map(),
      signatureProblem: problem,
      requiredScanners: this.#options.requiredScanners,
      registeredDigest: (await this.#registered.find(name, version))?.digest,
    });
    const digest = `sha256:${model.digest}`;
    const record = { verdict, digest, rule: rule.name, ...(signer === null ? {} : { signer }), findings };
    this.#tell(record, name, version);
    if (verdict === 'deny') throw refusal(findings, name, version);
    return record;
  }

  async remember({ digest }: AdmittedModel, name: string, version: string): Promise<() => Promise<void>> {
    const { requirements } = this.#ruleFor(name);
    const isImmutable = requirements !== 'deny' && requirements.isImmutable;
    const before = await this.#registered.find(name, version);
    if (before?.digest === digest) return async () => {};
    const registeredAt = new Date(this.#options.clock.wallTime()).toISOString();
    const kept = await this.#registered.keep({ name, version, digest, registeredAt }, !isImmutable);
    if (kept !== digest) {
      const message = `This version was registered with sha256:${kept} meanwhile.`;
      throw refusal([makeFinding('version_digest_changed', message)], name, version);
    }
    const forget = () => this.#forget({ name, version, digest }, before);
    if (before === undefined) return forget;
    const message = `${name} ${version} is another content than before: sha256:${before.digest} is now sha256:${digest}.`;
    this.#options.announce.notice.publish({ level: 'warn', message });
    return forget;
  }

  /** As it was before, unless an operator has released the version meanwhile. */
  async #forget(now: Omit<RegisteredVersion, 'registeredAt'>, before: RegisteredVersion | undefined): Promise<void> {
    const { name, version, digest } = now;
    if ((await this.#registered.find(name, version))?.digest !== digest) return;
    if (before === undefined) await this.#registered.forget(name, version);
    else await this.#registered.keep(before, true);
  }

  #ruleFor(name: string): TrustRule {
    const rule = ruleFor(this.#options.policy, name);
    if (!this.#options.makesAllImmutable || rule.requirements === 'deny') return rule;
    return { ...rule, requirements: { ...rule.requirements, isImmutable: true } };
  }

  /** Who signed the model, or why its signature does not count. Asked only where the rule wants one. */
  async #signatureOf(
    model: AdmittedModel,
    { requirements }: TrustRule,
    signal: AbortSignal,
  ): Promise<{ readonly signer: Signer | null; readonly problem: Finding | null }> {
    if (requirements === 'deny' || requirements.signedBy === undefined) return { signer: null, problem: null };
    const inner = signatureNameIn(model.files);
    const bundle = (await this.#sidecar(model)) ?? (inner === undefined ? undefined : await readMember(model, inner));
    if (bundle === undefined) {
      return { signer: null, problem: makeFinding('signature_missing', 'It is not signed.') };
    }
    const outcome = await this.#options.threads.verify(
      {
        bundle,
        signers: requirements.signedBy.flatMap((name) => this.#signers.get(name) ?? []),
        atMs: this.#options.clock.wallTime(),
        archiveDigest: model.digest,
      },
      publishedFiles(model),
      signal,
    );
    if (outcome.signer !== null) return { signer: outcome.signer, problem: null };
    return { signer: null, problem: makeFinding(outcome.code, outcome.message) };
  }

  /** `NAME.sig` beside the model, in a model store. What it says is proven by the files, not by where it lies. */
  async #sidecar({ location }: AdmittedModel): Promise<Uint8Array | undefined> {
    const isUrl = /^[a-z][a-z0-9+.-]*:/i.test(location);
    const roots = await Promise.all(this.#options.modelStores.map((path) => realpath(path)));
    const reference = sidecarOf(isUrl ? fileNameOf(location) : location);
    const source = await resolveLocal(reference, roots).catch((thrown: unknown) => {
      const isAbsent = thrown instanceof Fault && /^(model_not_found|source_not_allowed)$/.test(thrown.code);
      if (isAbsent) return null;
      throw thrown;
    });
    if (source?.kind !== 'file') return undefined;
    await using handle = source.handle;
    const { size } = await handle.stat();
    const open = async () => ({ ...fileAccess(handle, size), [Symbol.asyncDispose]: async () => {} });
    return await readSmall({ name: source.name, size, open });
  }

  #tell(record: AdmissionRecord, name: string, version: string): void {
    const { verdict, digest, rule, signer, findings } = record;
    this.#options.announce.audit.publish({
      action: 'admit_model',
      outcome: verdict === 'allow' ? 'allowed' : 'refused',
      principal: 'server',
      remote: undefined,
      subject: `${name}:${version}`,
      detail: { digest, rule, ...(signer === undefined ? {} : { signer }), findings: findings.map(({ code }) => code) },
    });
  }
}

async function loadSigner(name: string, source: SignerSource, base: string): Promise<readonly TrustedSigner[]> {
  switch (source.method) {
    case 'key': {
      const keys = await Promise.all(source.keys.map((path) => readPublicKey(resolve(base, path))));
      return keys.map((key) => ({ method: 'key', name, key }));
    }
    case 'certificate': {
      const { identity, acceptsExpired } = source;
      const roots = await readCertificates(source.roots.map((path) => resolve(base, path)));
      return [{ method: 'certificate', name, roots, identity, acceptsExpired }];
    }
    case 'keyless': {
      const { identity, issuer } = source;
      const trustedRoot = await readTrustedRoot(resolve(base, source.trustedRoot));
      return [{ method: 'keyless', name, trustedRoot, identity, issuer }];
    }
  }
}

const publishedFiles = ({ dir, files }: AdmittedModel): readonly PublishedName[] =>
  files.map((name) => ({ name, path: join(dir, name) }));

async function readMember({ dir }: AdmittedModel, name: string): Promise<Uint8Array> {
  return await readSmall(await fileForInspection(join(dir, name), name));
}

/** The first denying finding in words, with its remedy; all of them travel in the cause. */
function refusal(findings: readonly Finding[], name: string, version: string): Fault {
  const first = findings.find(({ code }) => isDenied(code));
  const changed = findings.find(({ code }) => code === 'version_digest_changed');
  if (changed !== undefined) {
    const message = `Model version ${version} of ${name} was registered with another content. ${changed.remedy}`;
    return new Fault('version_conflict', message, { cause: { findings } });
  }
  const said =
    first === undefined ? '' : `${first.member === '' ? '' : `${first.member}: `}${first.code}: ${first.message}`;
  return new Fault('archive_refused', `Archive refused: ${said} ${first?.remedy ?? ''}`.trim(), {
    cause: { findings },
  });
}
