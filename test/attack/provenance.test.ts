// Signed archives and directories, and everything that can be done to them afterwards.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { Refusal, type TrustedSigner } from '../../src/archive/index.ts';
import { Fault } from '../../src/kernel/index.ts';
import { embedSignature, signModel, verifyModel } from '../../src/store/index.ts';
import { buildZip, type ZipPart } from './archives.ts';

const { signal } = new AbortController();
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const SIGNERS: readonly TrustedSigner[] = [{ method: 'key', name: 'release', key: publicKey }];
const MEMBERS: readonly ZipPart[] = [
  { name: 'MAR-INF/MANIFEST.json', data: '{"runtime":"python","model":{"modelName":"m","handler":"h.py"}}', method: 0 },
  { name: 'h.py', data: 'def handle(data, context): return data\n', method: 0 },
  { name: 'weights.bin', data: 'not really weights'.repeat(4), method: 8 },
];

/** What a check may answer to a model that is not what was signed. */
const isRefusal = (thrown: unknown): boolean =>
  thrown instanceof Refusal || (thrown instanceof Fault && thrown.code === 'archive_refused');
const refusedAs = (code: string) => (thrown: unknown) => thrown instanceof Refusal && thrown.code === code;

describe('a signed model', () => {
  let dir = '';
  const path = (name: string): string => join(dir, name);
  const sign = (name: string, signaturePath?: string): Promise<string> =>
    signModel({ path: path(name), privateKey, chain: [], signaturePath, overwrites: true }, signal);
  const verify = (name: string, signaturePath?: string) =>
    verifyModel(path(name), signaturePath, SIGNERS, new Date(), signal);

  before(() => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'davy-signed-')));
  });
  beforeEach(async () => {
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(path('model/sub'), { recursive: true });
    writeFileSync(path('model/h.py'), 'def handle(data, context): return data\n');
    writeFileSync(path('model/sub/weights'), 'not really weights');
    writeFileSync(path('x.mar'), buildZip(MEMBERS));
    await sign('x.mar');
    await sign('model');
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  test('verifies as it is, and packed again in another order and compression', async () => {
    assert.equal((await verify('x.mar')).fileCount, 3);
    assert.equal((await verify('model')).fileCount, 2);
    writeFileSync(path('x.mar'), buildZip(MEMBERS.toReversed().map((part) => ({ ...part, method: 8 as const }))));
    assert.equal((await verify('x.mar')).kind, 'archive');
  });

  test('is refused when any byte of a member is another', async () => {
    const archive = readFileSync(path('x.mar'));
    let flips = 0;
    for (const { data } of MEMBERS.slice(0, 2)) {
      const start = archive.indexOf(data as string);
      assert.ok(start > 0);
      // 3 is prime to the length of words: every kind of byte has its turn.
      for (let at = start; at < start + data!.length; at += 3) {
        const changed = Buffer.from(archive);
        changed[at]! ^= 1 << (at % 8);
        writeFileSync(path('x.mar'), changed);
        await assert.rejects(verify('x.mar'), isRefusal, `byte ${at - start}`);
        flips += 1;
      }
    }
    assert.ok(flips > 20);
  });

  test('is refused when a member is replaced by a well-formed other one, renamed, added or left out', async () => {
    const variants: readonly (readonly ZipPart[])[] = [
      MEMBERS.map((part) => (part.name === 'h.py' ? { ...part, data: 'import os\n' } : part)),
      MEMBERS.map((part) => (part.name === 'h.py' ? { ...part, name: 'g.py' } : part)),
      [...MEMBERS, { name: 'torch.py', data: 'import os\n' }],
      MEMBERS.slice(0, 2),
    ];
    for (const parts of variants) {
      writeFileSync(path('x.mar'), buildZip(parts));
      await assert.rejects(verify('x.mar'), refusedAs('signature_mismatch'));
    }
  });

  test('is refused without its signature, or with the one of another model', async () => {
    renameSync(path('x.mar.sig'), path('kept.sig'));
    await assert.rejects(verify('x.mar'), refusedAs('signature_missing'));
    writeFileSync(path('x.mar.sig'), readFileSync(path('model/model.sig')));
    await assert.rejects(verify('x.mar'), refusedAs('signature_mismatch'));
    await verify('x.mar', path('kept.sig'));
  });

  test('may carry its signature inside the archive', async () => {
    const inner = { name: 'MAR-INF/model.sig', data: readFileSync(path('x.mar.sig')) };
    rmSync(path('x.mar.sig'));
    writeFileSync(path('x.mar'), buildZip([...MEMBERS, inner]));
    assert.equal((await verify('x.mar')).fileCount, 3);
    const changed = MEMBERS.map((part) => (part.name === 'h.py' ? { ...part, data: 'import os\n' } : part));
    writeFileSync(path('x.mar'), buildZip([...changed, inner]));
    await assert.rejects(verify('x.mar'), refusedAs('signature_mismatch'));
  });

  test('gets its signature into the archive, again and again, with the same bytes but for the signature', async () => {
    rmSync(path('x.mar.sig'));
    const options = { path: path('x.mar'), privateKey, chain: [] };
    await embedSignature(options, signal);
    const { statement } = await verify('x.mar');
    await embedSignature(options, signal);
    assert.equal((await verify('x.mar')).statement.rootDigest, statement.rootDigest);
    const none = { ...options, path: path('model') };
    await assert.rejects(embedSignature(none, signal), (thrown) => thrown instanceof Fault && thrown.code === 'usage');
  });

  test('is judged by the signature in its folder, whatever older one came with its archive', async () => {
    mkdirSync(path('model/MAR-INF'));
    writeFileSync(path('model/MAR-INF/model.sig'), readFileSync(path('x.mar.sig')));
    assert.equal((await verify('model')).fileCount, 2);
    await sign('model');
    assert.equal((await verify('model')).fileCount, 2);
  });

  test('is refused as a directory with a link, an added file or a changed one; what git keeps is not looked at', async () => {
    mkdirSync(path('model/.git'));
    writeFileSync(path('model/.git/HEAD'), 'x');
    await verify('model');
    mkdirSync(path('model/sub/.git'));
    writeFileSync(path('model/sub/.git/HEAD'), 'x');
    await assert.rejects(verify('model'), refusedAs('signature_mismatch'));
    rmSync(path('model/sub/.git'), { recursive: true });
    symlinkSync('h.py', path('model/link.py'));
    await assert.rejects(verify('model'), isRefusal);
    rmSync(path('model/link.py'));
    await verify('model');
    writeFileSync(path('model/sub/weights'), 'not really weightz');
    await assert.rejects(verify('model'), refusedAs('signature_mismatch'));
  });

  test('is not signed over another signature unless that is asked for', async () => {
    const again = signModel(
      { path: path('x.mar'), privateKey, chain: [], signaturePath: undefined, overwrites: false },
      signal,
    );
    await assert.rejects(again, (thrown) => thrown instanceof Fault && thrown.code === 'file_exists');
  });
});
