// `davy scan` as a shell sees it: exit status, what is printed where, and which files it looks at.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
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
    await symlink(root, at('tree', 'loop'));
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
    assert.deepEqual(
      log.runs[0].results.map(({ ruleId }: { ruleId: string }) => ruleId),
      ['pickle_not_allowed'],
    );
  });

  test('looks into directories without following links', async () => {
    const { status, stdout } = await scan('--json', at('tree'));
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout).file, at('tree', 'deep', 'good.pkl'));
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
