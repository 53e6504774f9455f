// A server with a trust policy: what is signed by the right people is served, anything else is not, and versions stay what they are.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { main as davy } from '../../src/app/cli/main.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { startRealServer, type RealServer } from '../support/real-server.ts';

const PKI = join(import.meta.dirname, '../fixtures/provenance/pki');
const KEYLESS = join(import.meta.dirname, '../fixtures/provenance/keyless');

interface Described {
  readonly admission: {
    readonly verdict: string;
    readonly rule: string;
    readonly digest: string;
    readonly signer?: { readonly name: string; readonly identity: string };
    readonly findings: readonly { readonly code: string }[];
  };
}

async function run(cwd: string, ...args: string[]): Promise<{ code: number; out: string }> {
  const pieces: string[] = [];
  const output = { write: (chunk: string | Uint8Array) => void pieces.push(String(chunk)) };
  const code = await davy(args, { stdin: Readable.from([]), stdout: output, stderr: output, env: {}, cwd });
  return { code, out: pieces.join('') };
}

describe('a server with a trust policy', () => {
  let server: RealServer;
  let store: TestStore;
  let dir: string;
  const path = (name: string): string => join(store.dir, name);
  const sign = (name: string) =>
    run(
      dir,
      'sign',
      path(name),
      '--key',
      join(dir, 'leaf.key'),
      '--cert',
      join(PKI, 'leaf.pem'),
      join(PKI, 'int.pem'),
      '-f',
    );
  const add = (file: string, name: string, handler = NOOP): void => store.addArchive(file, name, handler);
  const register = async (url: string): Promise<{ status: number; text: string }> => {
    const response = await server.manage('POST', `/models?url=${url}`);
    return { status: response.status, text: await response.text() };
  };
  const unregister = async (name: string) => (await server.manage('DELETE', `/models/${name}`)).status;
  const describeModel = async (name: string): Promise<Described> => {
    const [described] = (await (await server.manage('GET', `/models/${name}`)).json()) as [Described];
    return described;
  };

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'davy-trust-'));
    // A checkout gives the key of the fixtures to everybody, and a key that others can read is not used.
    writeFileSync(join(dir, 'leaf.key'), readFileSync(join(PKI, 'leaf.key')), { mode: 0o600 });
    cpSync(join(PKI, 'root.pem'), join(dir, 'root.pem'));
    store = makeModelStore();
    add('pinned.mar', 'pinned');
    const pin = createHash('sha256')
      .update(readFileSync(path('pinned.mar')))
      .digest('hex');
    const policy = [
      'version: 1',
      'signers:',
      '  company: { roots: root.pem, identity: release@example.com }',
      '  ci:',
      `    trusted_root: ${join(KEYLESS, 'trusted_root.json')}`,
      '    identity: https://github.com/example/models/.github/workflows/sign.yml@refs/heads/main',
      '    issuer: https://token.example.com',
      'rules:',
      '  - { models: signed*, signature: company }',
      '  - { models: keyless, signature: ci }',
      `  - { models: pinned, sha256: ${pin} }`,
      '  - { models: data, formats: [safetensors, onnx] }',
      '  - { models: free* }',
      'default: deny',
    ];
    writeFileSync(join(dir, 'policy.yaml'), `${policy.join('\n')}\n`);
    server = await startRealServer({
      modelStore: store.dir,
      config: ['enable_model_api=true', `trust_policy=${join(dir, 'policy.yaml')}`],
      flags: ['--disable-token-auth'],
    });
  });

  after(async () => {
    await server.stop();
    store[Symbol.dispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  test('serves an archive that the company signed, and says who did', async () => {
    add('signed.mar', 'signed');
    assert.match((await register('signed.mar')).text, /signature_missing/);
    assert.equal((await sign('signed.mar')).code, 0);
    assert.equal((await register('signed.mar')).status, 200);
    const { admission } = await describeModel('signed');
    assert.deepEqual(
      [admission.verdict, admission.rule, admission.signer?.name, admission.signer?.identity],
      ['allow', 'rule 1 (signed*)', 'company', 'release@example.com'],
    );
    assert.equal(
      admission.digest,
      `sha256:${createHash('sha256')
        .update(readFileSync(path('signed.mar')))
        .digest('hex')}`,
    );
    assert.ok(admission.findings.some(({ code }) => code === 'python_code'));
  });

  test('refuses what was changed after it was signed, and leaves nothing of it behind', async () => {
    add('signed2.mar', 'signed2');
    await sign('signed2.mar');
    add('signed2.mar', 'signed2', `${NOOP}\n# changed\n`);
    const { status, text } = await register('signed2.mar');
    assert.equal(status, 400);
    assert.match(text, /signature_mismatch/);
    assert.deepEqual(readdirSync(join(server.dir, 'state', 'incoming')), []);
  });

  test('serves a signed directory, whose signature lies in it', async () => {
    store.add('signed3', NOOP);
    await sign('signed3');
    assert.equal((await register('signed3')).status, 200);
    assert.equal((await run(dir, 'verify', path('signed3'), '--root', join(PKI, 'root.pem'))).code, 0);
  });

  test('goes by the name a model is registered under, which a caller may choose but not to evade its rule', async () => {
    add('free.mar', 'free');
    const response = await server.manage('POST', '/models?url=free.mar&model_name=signed-not');
    assert.equal(response.status, 400);
    assert.equal((await register('free.mar')).status, 200);
    assert.equal(await unregister('free'), 200);
  });

  test('serves exactly the pinned digest, and nothing that no rule names', async () => {
    assert.equal((await register('pinned.mar')).status, 200);
    assert.equal(await unregister('pinned'), 200);
    add('pinned.mar', 'pinned', `${NOOP}\n`);
    assert.match((await register('pinned.mar')).text, /digest_not_pinned|another content/);
    add('stranger.mar', 'stranger');
    assert.match((await register('stranger.mar')).text, /model_not_trusted/);
  });

  test('knows formats by content, not by name', async () => {
    const pickled = Buffer.from('\x80\x02}q\x00.', 'latin1');
    store.addArchive('data.mar', 'data', NOOP, { files: { 'weights.dat': pickled } });
    assert.match((await register('data.mar')).text, /format_not_allowed: The format is torch/);
  });

  test('keeps the content of a signed version, until an operator releases it', async () => {
    add('signed4.mar', 'signed4');
    await sign('signed4.mar');
    assert.equal((await register('signed4.mar')).status, 200);
    assert.equal(await unregister('signed4'), 200);
    add('signed4.mar', 'signed4', `${NOOP}\n# a later build\n`);
    await sign('signed4.mar');
    const { status, text } = await register('signed4.mar');
    assert.equal(status, 409);
    assert.match(text, /davy models forget/);
    const forget = () =>
      run(dir, 'models', 'forget', 'signed4', '1.0', '--set', `state_dir=${join(server.dir, 'state')}`);
    assert.equal((await forget()).code, 0);
    assert.equal((await forget()).code, 1);
    assert.equal((await register('signed4.mar')).status, 200);
  });

  test('lets a version that no signature is wanted for be built again, as TorchServe does, and says so', async () => {
    add('free2.mar', 'free2');
    assert.equal((await register('free2.mar')).status, 200);
    assert.equal(await unregister('free2'), 200);
    add('free2.mar', 'free2', `${NOOP}\n# a later build\n`);
    assert.equal((await register('free2.mar')).status, 200);
    await server.until(/free2 1\.0 is another content than before/);
  });

  test('serves what was signed without a key, when identity and log agree, and by nobody else', async () => {
    mkdirSync(path('keyless/sub'), { recursive: true });
    writeFileSync(path('keyless/weights.txt'), 'not really weights\n');
    writeFileSync(path('keyless/sub/config.json'), '{}\n');
    cpSync(join(KEYLESS, 'model.sig'), path('keyless.sig'));
    assert.equal((await register('keyless&initial_workers=0')).status, 200);
    const { admission } = await describeModel('keyless');
    assert.deepEqual([admission.rule, admission.signer?.name], ['rule 2 (keyless)', 'ci']);
    const response = await server.manage('POST', '/models?url=keyless&model_name=signed-keyless&initial_workers=0');
    assert.match(await response.text(), /signature_untrusted/);
  });

  test('tells the audit log every verdict', async () => {
    await server.until(/allowed admit_model principal=server subject=signed:1\.0.*release@example/, 5000);
    await server.until(/refused admit_model principal=server subject=stranger:1\.0.*model_not_trusted/, 5000);
  });

  test('does not start with a policy that it does not understand', async () => {
    const broken = join(dir, 'broken.yaml');
    writeFileSync(broken, 'version: 1\nrules: [{ models: a, signatures: x }]\ndefault: deny\n');
    const { code, out } = await run(dir, 'serve', '--ncs', '--set', `trust_policy=${broken}`, `state_dir=${dir}/other`);
    assert.equal(code, 1);
    assert.match(out, /broken\.yaml: rules\.0: Unrecognized key: "signatures"/);
  });
});
