// Scanners as an operator configures them, through the real server: what they refuse, what they only say, what their silence means.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeModelStore, NOOP } from '../support/model-store.ts';
import { startRealServer } from '../support/real-server.ts';

/** Calls every file with the word EVIL malicious, and says nothing about files with the word SILENCE. */
const SCANNER = `#!/bin/sh
grep -q SILENCE "$1" && exit 0
grep -q EVIL "$1" && echo '{"verdict":"Test.Evil"}' && exit 1
echo '{"verdict":"clean"}'
`;

test('a required scanner keeps models out, an advisory one only comments on them', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'davy-scan-program-'));
  const program = join(dir, 'scan');
  writeFileSync(program, SCANNER);
  chmodSync(program, 0o700);
  using store = makeModelStore();
  store.add('clean', NOOP);
  for (const word of ['EVIL', 'SILENCE']) {
    store.add(`required-${word}`, NOOP, { files: { 'notes.txt': word } });
    store.add(`advisory-${word}`, NOOP, { files: { 'notes.md': word } });
  }
  const scanner = (name: string, mode: string, only: string) =>
    ({ kind: 'executable', name, mode, only: [only], argv: [program, '{file}'] }) as const;
  const scanners = JSON.stringify([
    scanner('strict', 'required', 'txt'),
    scanner('loose', 'advisory', 'md'),
    { kind: 'clamd', name: 'gone', only: ['zzz'], socket: join(dir, 'gone') },
    { kind: 'executable', name: 'missing', mode: 'advisory', only: ['zzz'], argv: [join(dir, 'missing'), '{file}'] },
  ]);
  try {
    await using server = await startRealServer({
      modelStore: store.dir,
      models: ['clean', 'required-EVIL'],
      flags: ['--enable-model-api'],
      config: [`scanners=${scanners}`],
    });
    await server.until(/Scanner strict is ready: \/.*\/scan/);
    await server.until(
      /Scanner gone does not answer \(ENOENT\): it is required, so models that it has to see are refused/,
    );
    await server.until(
      /Scanner missing does not answer \(ENOENT\): it is advisory, so models are admitted without its word/,
    );
    await server.until(/Failed to load model: required-EVIL \(Archive refused: "notes\.txt": scanner_detected/);
    const register = async (url: string) => {
      const response = await server.manage('POST', `/models?url=${url}`);
      return { status: response.status, text: await response.text() };
    };
    for (const [url, code] of [
      ['required-EVIL', 'scanner_detected: strict: Test.Evil'],
      ['required-SILENCE', 'scanner_unanswered: strict'],
    ] as const) {
      const { status, text } = await register(url);
      assert.equal(status, 400);
      assert.ok(text.includes(code), text);
    }
    for (const [url, code] of [
      ['advisory-EVIL', 'scanner_warning: loose: Test.Evil'],
      ['advisory-SILENCE', 'scanner_skipped: loose'],
    ] as const) {
      assert.equal((await register(url)).status, 200);
      const described = await (await server.manage('GET', `/models/${url}`)).text();
      assert.ok(described.includes(code), described);
    }
    assert.deepEqual(await readdir(join(server.dir, 'state', 'incoming')), []);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
