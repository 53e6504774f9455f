import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault, makeFinding } from '../kernel/index.ts';
import { parseTrustPolicy } from './trust-policy-document.ts';
import { judgeTrust, OPEN_POLICY, ruleFor, tolerated, type TrustEvidence } from './trust-policy.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const DOCUMENT = `
version: 1
signers:
  release: { key: release.pub }
  company: { roots: [root.pem], identity: release@example.com }
  ci: { trusted_root: root.json, identity: https://ci.example.com/sign, issuer: https://token.example.com }
rules:
  - models: [fraud-*, credit]
    signature: [release, ci]
    formats: [safetensors, onnx]
    scanners: clamd
  - { models: legacy, sha256: sha256:${A}, allow: nested_archive, immutable: false }
  - { models: bad-*, deny: true }
default: { immutable: true }
`;
const policy = parseTrustPolicy(DOCUMENT, 'policy.yaml');
const evidence: TrustEvidence = {
  digest: A,
  findings: [],
  formats: new Map(),
  signatureProblem: null,
  requiredScanners: new Set(['clamd']),
  registeredDigest: undefined,
};
const judged = (name: string, change: Partial<TrustEvidence> = {}): readonly string[] => {
  const { verdict, findings } = judgeTrust(ruleFor(policy, name), { ...evidence, ...change });
  return [verdict, ...findings.map(({ code }) => code)];
};

describe('a trust policy', () => {
  test('decides by the first rule for the name', () => {
    assert.equal(ruleFor(policy, 'fraud-eu').name, 'rule 1 (fraud-*, credit)');
    assert.equal(ruleFor(policy, 'legacy').name, 'rule 2 (legacy)');
    assert.equal(ruleFor(policy, 'fraud').name, 'default rule');
    assert.deepEqual(judged('bad-one'), ['deny', 'model_not_trusted']);
  });

  test('lets in what its rule asks for, and names what is missing', () => {
    assert.deepEqual(judged('credit'), ['allow']);
    const unsigned = makeFinding('signature_missing', 'It is not signed.');
    assert.deepEqual(judged('credit', { signatureProblem: unsigned }), ['deny', 'signature_missing']);
    const formats = new Map([['w.pt', 'torch']] as const);
    assert.deepEqual(judged('credit', { formats }), ['deny', 'format_not_allowed']);
    assert.deepEqual(judged('credit', { requiredScanners: new Set() }), ['deny', 'scanner_required']);
    assert.deepEqual(judged('legacy', { digest: B }), ['deny', 'digest_not_pinned']);
    assert.deepEqual(judged('anything', { signatureProblem: unsigned, formats }), ['allow']);
  });

  test('accepts findings where it says so, and never what cannot be accepted', () => {
    const nested = makeFinding('nested_archive', 'x', 'a.zip');
    assert.deepEqual(judged('legacy', { findings: [nested] }), ['allow', 'nested_archive']);
    assert.deepEqual(judged('credit', { findings: [nested] }), ['deny', 'nested_archive']);
    assert.deepEqual([...tolerated(policy)], ['nested_archive']);
  });

  test('never switches the inspection off: a signed and pinned model is refused for what it holds', () => {
    const evil = makeFinding('pickle_not_allowed', 'posix.system', 'w.pt');
    for (const name of ['credit', 'legacy', 'anything']) assert.equal(judged(name, { findings: [evil] })[0], 'deny');
  });

  test('keeps a version’s digest where a signature or a digest is asked for, or where it says so', () => {
    const changed = { registeredDigest: B };
    assert.deepEqual(judged('credit', changed), ['deny', 'version_digest_changed']);
    assert.deepEqual(judged('anything', changed), ['deny', 'version_digest_changed']);
    assert.deepEqual(judged('legacy', changed), ['allow']);
    assert.deepEqual(judged('credit', { registeredDigest: A }), ['allow']);
    assert.equal(judgeTrust(ruleFor(OPEN_POLICY, 'x'), { ...evidence, ...changed }).verdict, 'allow');
  });
});

describe('the policy file', () => {
  const refused = (text: string, about: RegExp): void =>
    assert.throws(
      () => parseTrustPolicy(text, 'policy.yaml'),
      (thrown) => thrown instanceof Fault && thrown.code === 'invalid_configuration' && about.test(thrown.message),
      text,
    );

  test('is refused for a key, a format, a finding or a signer that does not exist', () => {
    refused(DOCUMENT.replace('formats:', 'format:'), /format/);
    refused(DOCUMENT.replace('onnx', 'keras'), /format/);
    refused(DOCUMENT.replace('nested_archive', 'nested'), /finding/);
    refused(DOCUMENT.replace('nested_archive', 'pickle_not_allowed'), /cannot be accepted/);
    refused(DOCUMENT.replace('[release, ci]', '[releases]'), /no signer called releases/);
    refused(DOCUMENT.replace(A, A.slice(1)), /hex/);
    refused(DOCUMENT.replace('version: 1', 'version: 2'), /version/);
    refused(DOCUMENT.replace('default:', 'defaults:'), /default/);
    refused(DOCUMENT.replace('key: release.pub', 'key: release.pub, issuer: x'), /issuer does not go with key/);
    refused(DOCUMENT.replace(', issuer: https://token.example.com', ''), /trusted_root with identity and issuer/);
    refused(DOCUMENT.replace('signature: [release, ci]', 'signature: []'), /leave the key out/);
  });

  test('is refused for what YAML can do beyond data', () => {
    refused('version: 1\nversion: 1\ndefault: deny', /unique/i);
    refused('version: 1\nrules: &r []\ndefault: *r', /alias/);
    refused('!!js/function x', /tag|default|expected/i);
    refused('', /expected/i);
  });

  test('needs no more than a version and a default', () => {
    assert.equal(ruleFor(parseTrustPolicy('version: 1\ndefault: deny', 'p'), 'x').requirements, 'deny');
    assert.equal(parseTrustPolicy('{version: 1, default: allow}', 'p').rules.length, 1);
  });

  test('of arbitrary text is refused, never a crash and never a policy', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        assert.throws(
          () => parseTrustPolicy(text, 'p'),
          (thrown) => thrown instanceof Fault && thrown.code === 'invalid_configuration',
        );
      }),
      { numRuns: 200 },
    );
  });
});
