import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryAccess } from '../../archive/index.ts';
import type { StoredFile } from '../models/quarantine.ts';
import { createScannerPanel, type PanelMember } from './panel.ts';
import type { Scanner, ScanVerdict } from './scanner.ts';

type Looker = Pick<Scanner, 'scan'>;

const file = (name: string): StoredFile => ({
  name,
  path: `/q/${name}`,
  size: 1,
  open: async () => ({ ...memoryAccess(Buffer.from('x')), [Symbol.asyncDispose]: async () => {} }),
});
const says = (verdict: ScanVerdict): Looker => ({ scan: async () => verdict });
const member = (scanner: Looker, rest: Partial<PanelMember> = {}): PanelMember => ({
  name: 'x',
  isRequired: true,
  timeoutMs: 10_000,
  only: undefined,
  skip: [],
  allowsUnknown: false,
  scanner,
  ...rest,
});
const { signal } = new AbortController();
const codes = async (one: PanelMember): Promise<readonly string[]> =>
  (await createScannerPanel([one])([file('a.pt')], signal)).findings.map(({ code }) => code);

test('a required scanner refuses by its word and by its silence; an advisory one is only reported', async () => {
  const malicious = says({ kind: 'malicious', what: 'Evil' });
  const silent = says({ kind: 'unanswered', why: 'no' });
  const broken: Looker = { scan: () => Promise.reject(new Error('crashed')) };
  const hung: Looker = { scan: () => Promise.withResolvers<ScanVerdict>().promise };
  const advisory = { isRequired: false };
  assert.deepEqual(await codes(member(says({ kind: 'clean' }))), []);
  assert.deepEqual(await codes(member(malicious)), ['scanner_detected']);
  assert.deepEqual(await codes(member(malicious, advisory)), ['scanner_warning']);
  assert.deepEqual(await codes(member(silent)), ['scanner_unanswered']);
  assert.deepEqual(await codes(member(silent, advisory)), ['scanner_skipped']);
  assert.deepEqual(await codes(member(broken)), ['scanner_unanswered']);
  assert.deepEqual(await codes(member(hung, { timeoutMs: 5 })), ['scanner_unanswered']);
  assert.deepEqual(await codes(member(says({ kind: 'unknown' }))), ['scanner_unanswered']);
  assert.deepEqual(await codes(member(says({ kind: 'unknown' }), { allowsUnknown: true })), []);
});

test('a scanner that hangs is not waited for with every file of a model', async () => {
  let asked = 0;
  const hung: Looker = {
    scan: () => {
      asked += 1;
      return Promise.withResolvers<ScanVerdict>().promise;
    },
  };
  const files = Array.from({ length: 50 }, (_, i) => file(`${i}.pt`));
  for (const [isRequired, code] of [
    [true, 'scanner_unanswered'],
    [false, 'scanner_skipped'],
  ] as const) {
    asked = 0;
    const { findings, clean } = await createScannerPanel([member(hung, { isRequired, timeoutMs: 5 })])(files, signal);
    assert.ok(asked < 10, `asked ${asked} times`);
    assert.deepEqual(new Set(findings.map((finding) => finding.code)), new Set([code]));
    assert.equal(findings.length, 50);
    assert.deepEqual(clean, []);
  }
});

test('a scanner sees the files of its extensions, and is named clean only when it found them so', async () => {
  const seen: string[] = [];
  const watching: Looker = {
    scan: async ({ name }) => {
      seen.push(name);
      return { kind: 'clean' };
    },
  };
  const panel = createScannerPanel([
    member(watching, { name: 'pickles', only: ['pt', 'pkl'] }),
    member(watching, { name: 'rest', skip: ['pt'] }),
    member(says({ kind: 'unknown' }), { name: 'unsure' }),
  ]);
  const { clean } = await panel([file('a.PT'), file('d/b.pkl'), file('README'), file('.pt/c')], signal);
  assert.deepEqual(seen.toSorted(), ['.pt/c', 'README', 'a.PT', 'd/b.pkl', 'd/b.pkl']);
  assert.deepEqual(clean, ['pickles', 'rest']);
});

test('files are scanned a few at a time, and a caller that gives up is not answered', async () => {
  let running = 0;
  let most = 0;
  const slow: Looker = {
    async scan() {
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
      return { kind: 'clean' };
    },
  };
  const files = Array.from({ length: 30 }, (_, i) => file(`${i}.pt`));
  await createScannerPanel([member(slow)])(files, signal);
  assert.equal(most, 4);
  await assert.rejects(createScannerPanel([member(slow)])(files, AbortSignal.abort()));
});
