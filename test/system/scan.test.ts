// `davy scan` as a shell sees it: exit status, what is printed where, and which files it looks at.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { ZipFile } from 'yazl';
import { main } from '../../src/app/cli/main.ts';

const GOOD = Buffer.from('\x80\x02}X\x01\x00\x00\x00aK\x01s.', 'latin1');
const EVIL = Buffer.from('\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.', 'latin1');

async function zip(path: string, members: Readonly<Record<string, Buffer | string>>): Promise<void> {
  const file = new ZipFile();
  for (const [name, content] of Object.entries(members)) file.addBuffer(Buffer.from(content), name);
  file.end();
  const pieces = await Array.fromAsync(file.outputStream, (piece) => Buffer.from(piece));
  await writeFile(path, Buffer.concat(pieces));
}

describe('davy scan', () => {
  let root = '';
  const at = (...parts: string[]): string => join(root, ...parts);

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'davy-scan-test-'));
    await mkdir(at('tree', 'deep'), { recursive: true });
    await writeFile(at('good.pkl'), GOOD);
    await writeFile(at('evil.pkl'), EVIL);
    await writeFile(at('tree', 'deep', 'good.pkl'), GOOD);
    await symlink(at('evil.pkl'), at('tree', 'link.pkl'));
    await symlink(at('tree'), at('tree', 'loop'));
    const manifest = JSON.stringify({ model: { modelName: 'm', modelVersion: '1.0', handler: 'handler.py' } });
    const handler = 'def handle(data, context):\n    return data\n';
    await zip(at('good.mar'), { 'MAR-INF/MANIFEST.json': manifest, 'handler.py': handler, 'weights.pkl': GOOD });
    await zip(at('evil.mar'), { 'MAR-INF/MANIFEST.json': manifest, 'handler.py': handler, 'weights.pkl': EVIL });
    await zip(at('lying.mar'), { 'MAR-INF/MANIFEST.json': manifest });
    await writeFile(at('broken.mar'), 'PK\x03\x04');
  });
  after(() => rm(root, { recursive: true, force: true }));

  async function scan(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
    const output = { stdout: '', stderr: '' };
    const into = (name: 'stdout' | 'stderr') => ({
      write: (chunk: string | Uint8Array) => (output[name] += String(chunk)),
    });
    const io = { stdin: Readable.from([]), stdout: into('stdout'), stderr: into('stderr'), env: {}, cwd: root };
    return { status: await main(['scan', ...args], io), ...output };
  }

  test('exits 0, 1 or 2: all allowed, something denied, could not run', async () => {
    assert.equal((await scan(at('good.pkl'), at('good.mar'))).status, 0);
    assert.equal((await scan(at('good.pkl'), at('evil.pkl'))).status, 1);
    assert.equal((await scan(at('good.pkl'), at('missing'))).status, 2);
    assert.equal((await scan()).status, 2);
  });

  test('prints one JSON object a file', async () => {
    const { stdout, stderr } = await scan('--json', at('good.pkl'), at('evil.mar'));
    const [good, evil] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(good, { file: at('good.pkl'), verdict: 'allow', findings: [] });
    assert.equal(evil.verdict, 'deny');
    const [finding] = evil.findings.filter(({ severity }: { severity: string }) => severity === 'critical');
    assert.deepEqual([finding.code, finding.member, finding.offset], ['pickle_not_allowed', 'weights.pkl', 2]);
    assert.equal(stderr, '');
  });

  test('prints one SARIF log', async () => {
    const log = JSON.parse((await scan('--sarif', at('evil.pkl'), at('good.pkl'))).stdout);
    assert.equal(log.version, '2.1.0');
    assert.deepEqual(log.runs[0].invocations, [{ executionSuccessful: true }]);
    const partial = JSON.parse((await scan('--sarif', at('good.pkl'), at('missing'))).stdout);
    assert.deepEqual(partial.runs[0].invocations, [{ executionSuccessful: false }]);
    assert.deepEqual(
      log.runs[0].results.map(({ ruleId }: { ruleId: string }) => ruleId),
      ['pickle_not_allowed'],
    );
  });

  /** File below `root`, verdict and codes of every line. */
  const verdicts = (stdout: string): unknown[] =>
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { file: string; verdict: string; findings: { code: string }[] })
      .map(({ file, verdict, findings }) => [relative(root, file), verdict, ...findings.map(({ code }) => code)]);

  test('follows links inside what is scanned, goes in no circles, and denies the other links', async () => {
    const alone = await scan('--json', at('tree'));
    assert.equal(alone.status, 1);
    assert.deepEqual(verdicts(alone.stdout), [
      ['tree/link.pkl', 'deny', 'entry_not_scanned'],
      ['tree/deep/good.pkl', 'allow'],
    ]);
    // The target of the link is scanned as well: then the link is a way inside, and its content is what counts.
    await mkdir(at('targets'), { recursive: true });
    await writeFile(at('targets', 'evil.pkl'), EVIL);
    await mkdir(at('links'), { recursive: true });
    await symlink(at('targets', 'evil.pkl'), at('links', 'a.pkl'));
    await symlink('../targets', at('links', 'folder'));
    const both = await scan('--json', at('links'), at('targets'));
    assert.equal(both.status, 1);
    assert.deepEqual(verdicts(both.stdout), [
      ['links/a.pkl', 'deny', 'pickle_not_allowed'],
      ['targets/evil.pkl', 'deny', 'pickle_not_allowed'],
    ]);
    assert.deepEqual(verdicts((await scan('--json', at('tree', 'link.pkl'))).stdout), [
      ['tree/link.pkl', 'deny', 'pickle_not_allowed'],
    ]);
  });

  test('looks through the links of a Hugging Face cache, by the names that a loader uses', async () => {
    const repository = at('hub', 'models--org--name');
    const snapshot = join(repository, 'snapshots', 'abc123');
    await mkdir(join(repository, 'blobs'), { recursive: true });
    await mkdir(join(snapshot, 'onnx'), { recursive: true });
    await mkdir(join(repository, 'elsewhere'), { recursive: true });
    for (const [hash, content] of [
      ['e1', EVIL],
      ['c0', GOOD],
    ] as const)
      await writeFile(join(repository, 'blobs', hash), content);
    await writeFile(join(repository, 'elsewhere', 'x'), GOOD);
    await symlink('../../blobs/e1', join(snapshot, 'pytorch_model.bin'));
    await symlink('../../../blobs/c0', join(snapshot, 'onnx', 'good.pkl'));
    await symlink('../../blobs/gone', join(snapshot, 'gone.safetensors'));
    await symlink('../../elsewhere/x', join(snapshot, 'x.pkl'));
    await symlink('itself.pkl', join(snapshot, 'itself.pkl'));
    const { status, stdout } = await scan('--json', snapshot);
    assert.equal(status, 1);
    const below = relative(root, snapshot);
    assert.deepEqual(verdicts(stdout), [
      [`${below}/gone.safetensors`, 'deny', 'entry_not_scanned'],
      [`${below}/itself.pkl`, 'deny', 'entry_not_scanned'],
      [`${below}/pytorch_model.bin`, 'deny', 'pickle_not_allowed'],
      [`${below}/x.pkl`, 'deny', 'entry_not_scanned'],
      [`${below}/onnx/good.pkl`, 'allow'],
    ]);
    // By itself, too, a link is what its own name says, not what its target is called.
    await symlink('../../blobs/c0', join(snapshot, 'weights.safetensors'));
    assert.deepEqual(verdicts((await scan('--json', join(snapshot, 'weights.safetensors'))).stdout), [
      [`${below}/weights.safetensors`, 'deny', 'content_mismatch'],
    ]);
  });

  test('never says OK of what it did not see', async () => {
    await mkdir(at('empty', 'deeper'), { recursive: true });
    const { status, stdout, stderr } = await scan(at('empty'), at('good.pkl'));
    assert.deepEqual([status, /1 file: 1 allowed/.test(stdout)], [2, true]);
    assert.match(stderr, /empty: there is no file to scan\.\n$/);
    assert.equal((await scan('-')).status, 2);
    assert.match((await scan('-')).stderr, /Give a file/);
    assert.equal((await scan('/dev/null')).status, 2);
    await mkdir(at('odd'));
    await writeFile(at('odd', 'good.pkl'), GOOD);
    await writeFile(
      Buffer.concat([Buffer.from(`${at('odd')}/w`), Buffer.from([0xff, 0xfe]), Buffer.from('.pkl')]),
      EVIL,
    );
    await promisify(execFile)('mkfifo', [at('odd', 'pipe.pkl')]);
    const odd = await scan('--json', at('odd'));
    assert.equal(odd.status, 1);
    assert.deepEqual(verdicts(odd.stdout), [
      ['odd/good.pkl', 'allow'],
      ['odd/pipe.pkl', 'deny', 'entry_not_scanned'],
      ['odd/w\xff\xfe.pkl', 'deny', 'entry_not_scanned'],
    ]);
  });

  test('reads of huge files only what it needs, and goes as deep as the file system', async () => {
    await mkdir(at('huge'));
    for (const name of [
      'zeros.bin',
      'zeros.safetensors',
      'zeros.pt',
      'zeros.mar',
      'zeros.txt',
      'zeros.onnx',
      'zeros.npy',
      'zeros',
    ]) {
      await writeFile(at('huge', name), '');
      await truncate(at('huge', name), 2 ** 40);
    }
    const huge = await scan('--json', at('huge'));
    assert.equal(huge.status, 1);
    assert.deepEqual(
      verdicts(huge.stdout).map((verdict) => (verdict as string[]).slice(0, 2).join(' ')),
      [
        'huge/zeros allow',
        ...['bin', 'mar', 'npy', 'onnx', 'pt', 'safetensors'].map((e) => `huge/zeros.${e} deny`),
        'huge/zeros.txt allow',
      ],
    );
    const deep = at('deep', ...Array.from({ length: 1000 }, () => 'd'));
    await mkdir(deep, { recursive: true });
    await writeFile(join(deep, 'evil.pkl'), EVIL);
    assert.equal((await scan('--json', at('deep'))).status, 1);
  });

  test('denies archives that are broken or lie about themselves', async () => {
    for (const [name, code] of [
      ['broken.mar', 'container_malformed'],
      ['lying.mar', 'manifest_invalid'],
    ] as const) {
      const { status, stdout } = await scan('--json', at(name));
      assert.equal(status, 1, name);
      assert.deepEqual(
        JSON.parse(stdout).findings.map((finding: { code: string }) => finding.code),
        [code],
      );
    }
  });

  test('sends nothing of a file to the terminal that could steer it', async () => {
    await writeFile(at('steer.pkl'), Buffer.from('\x80\x02c\x1b]0;x\x07\nb\x9b2J\n.', 'latin1'));
    const { stdout } = await scan(at('steer.pkl'));
    assert.match(stdout, /pickle_not_allowed/);
    assert.doesNotMatch(stdout, /[^\n\x20-\x7e’�]/);
  });
});
