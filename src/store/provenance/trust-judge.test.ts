import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Fault, makeFinding, systemClock, type Finding } from '../../kernel/index.ts';
import { OPEN_POLICY, parseTrustPolicy, type TrustPolicy } from '../../policy/index.ts';
import { Announcements, type AdmissionJudge, type AdmittedModel, type AuditEvent } from '../../serving/index.ts';
import { AdmissionThreads } from '../admission-thread/admission-threads.ts';
import { createTrustJudge } from './trust-judge.ts';

const { signal } = new AbortController();
const conflict = (thrown: unknown): boolean =>
  thrown instanceof Fault && thrown.code === 'version_conflict' && /davy models forget/.test(thrown.message);
const model = (digit: string, findings: readonly Finding[] = []): AdmittedModel =>
  ({ digest: digit.repeat(64), files: [], dir: '/nowhere', location: 'm.mar', findings }) as unknown as AdmittedModel;

describe('the trust judge', () => {
  let dir = '';
  const announce = new Announcements();
  let audited: AuditEvent[] = [];
  let notices: string[] = [];
  announce.audit.subscribe((event) => audited.push(event));
  announce.notice.subscribe(({ message }) => notices.push(message));

  const open = (policy: TrustPolicy, makesAllImmutable = false): Promise<AdmissionJudge> =>
    createTrustJudge({
      policy,
      policyFile: join(dir, 'policy.yaml'),
      stateDir: dir,
      modelStores: [dir],
      requiredScanners: new Set(),
      makesAllImmutable,
      // Nothing here is signed or wants a format, so no thread is ever started.
      threads: new AdmissionThreads(),
      clock: systemClock,
      announce,
    });
  const register = async (judge: AdmissionJudge, admitted: AdmittedModel): Promise<void> => {
    await judge.judge(admitted, 'm', '1.0', signal);
    await judge.remember(admitted, 'm', '1.0');
  };

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-judge-'));
    audited = [];
    notices = [];
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  test('without a policy lets versions be built again, and says so', async () => {
    const judge = await open(OPEN_POLICY);
    await register(judge, model('a'));
    await register(judge, model('a'));
    assert.deepEqual(notices, []);
    await register(judge, model('b'));
    assert.equal(notices.length, 1);
  });

  test('keeps every version where that is configured, over a restart, too', async () => {
    await register(await open(OPEN_POLICY, true), model('a'));
    const restarted = await open(OPEN_POLICY, true);
    await assert.rejects(restarted.judge(model('b'), 'm', '1.0', signal), conflict);
    await restarted.judge(model('b'), 'm', '1.1', signal);
    await register(restarted, model('a'));
  });

  test('lets only one of two contents be the first of a version', async () => {
    const judge = await open(OPEN_POLICY, true);
    const outcomes = await Promise.allSettled([model('a'), model('b')].map((one) => judge.remember(one, 'm', '1.0')));
    const rejected = outcomes.filter((outcome) => outcome.status === 'rejected');
    assert.equal(rejected.length, 1);
    assert.ok(conflict(rejected[0]?.reason));
  });

  test('forgets a version whose registration failed, and what it had before is what it keeps', async () => {
    const strict = await open(OPEN_POLICY, true);
    await (
      await strict.remember(model('a'), 'm', '1.0')
    )();
    await strict.judge(model('b'), 'm', '1.0', signal);
    const lenient = await open(OPEN_POLICY);
    await lenient.remember(model('a'), 'm', '1.0');
    await (
      await lenient.remember(model('a'), 'm', '1.0')
    )();
    await (
      await lenient.remember(model('b'), 'm', '1.0')
    )();
    await strict.judge(model('a'), 'm', '1.0', signal);
    await assert.rejects(strict.judge(model('b'), 'm', '1.0', signal), conflict);
  });

  test('audits each verdict with digest, rule and findings, and names the remedy of a refusal', async () => {
    const policy = parseTrustPolicy('version: 1\nrules: [{ models: n, allow: nested_archive }]\ndefault: allow', 'p');
    const judge = await open(policy);
    const nested = model('a', [
      makeFinding('python_code', 'x', 'h.py'),
      makeFinding('nested_archive', 'It is one.', 'x.zip'),
    ]);
    assert.equal((await judge.judge(nested, 'n', '1.0', signal)).verdict, 'allow');
    await assert.rejects(
      judge.judge(nested, 'm', '1.0', signal),
      (thrown) =>
        thrown instanceof Fault && thrown.code === 'archive_refused' && /x\.zip: nested_archive/.test(thrown.message),
    );
    const seen = audited.map(({ outcome, subject, detail }) => [
      outcome,
      subject,
      detail?.['rule'],
      detail?.['findings'],
    ]);
    const codes = ['python_code', 'nested_archive'];
    assert.deepEqual(seen, [
      ['allowed', 'n:1.0', 'rule 1 (n)', codes],
      ['refused', 'm:1.0', 'default rule', codes],
    ]);
  });

  test('wants a signature where the rule does, and finds none', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(join(dir, 'k.pub'), publicKey.export({ type: 'spki', format: 'pem' }));
    const policy = parseTrustPolicy('version: 1\nsigners: { k: { key: k.pub } }\ndefault: { signature: k }', 'p');
    const judge = await open(policy);
    await assert.rejects(
      judge.judge(model('a'), 'm', '1.0', signal),
      (thrown) => thrown instanceof Fault && /signature_missing/.test(thrown.message),
    );
  });

  test('does not open where a key of the policy is missing', async () => {
    const policy = parseTrustPolicy('version: 1\nsigners: { k: { key: none.pub } }\ndefault: deny', 'p');
    await assert.rejects(open(policy), (thrown) => thrown instanceof Fault && thrown.code === 'invalid_configuration');
  });
});
