// All configured scanners over all files of one model: who looks at what, how long, and what follows from each word.
import { makeFinding, type Finding } from '../../kernel/index.ts';
import type { StoredFile } from '../models/quarantine.ts';
import { Turns } from '../models/turns.ts';
import type { Scanner, ScanVerdict } from './scanner.ts';

export interface PanelMember {
  /** As the operator knows it. */
  readonly name: string;
  /** Its detection, and the want of a clean verdict, refuse the model; otherwise both are only reported. */
  readonly isRequired: boolean;
  /** For one file. */
  readonly timeoutMs: number;
  /** Extensions, lower-case, without the dot. Undefined: all. */
  readonly only: readonly string[] | undefined;
  readonly skip: readonly string[];
  /** A file that the scanner has never heard of passes. */
  readonly allowsUnknown: boolean;
  readonly scanner: Pick<Scanner, 'scan'>;
}

export interface PanelReport {
  readonly findings: readonly Finding[];
  /** Names of the scanners that found every file clean that they look at. */
  readonly clean: readonly string[];
}

export type ScannerPanel = (files: readonly StoredFile[], signal: AbortSignal) => Promise<PanelReport>;

/** Files being scanned at once over the whole server: scanners are slow, and share the machine with predictions. */
const CONCURRENT_SCANS = 4;
/** Files of one model for whose verdict a scanner may let us wait in vain: ten thousand minutes help nobody. */
const MAX_SILENCES = 3;
const GIVEN_UP: ScanVerdict = {
  kind: 'unanswered',
  why: 'It was not asked any more, because it did not answer before.',
};
/** As many as anybody reads. */
const MAX_FINDINGS = 100;

/** Rejects only when `signal` fires. The worst findings come first. */
export function createScannerPanel(members: readonly PanelMember[]): ScannerPanel {
  const turns = new Turns<symbol>(CONCURRENT_SCANS);
  const scanAll = async (member: PanelMember, files: readonly StoredFile[], signal: AbortSignal) => {
    let silences = 0;
    const look = async (file: StoredFile): Promise<Finding | null> => {
      if (silences >= MAX_SILENCES) return findingOf(member, file, GIVEN_UP);
      const verdict = await scan(member, file, signal);
      if (verdict === TOO_LATE) silences += 1;
      return findingOf(member, file, verdict === TOO_LATE ? tooLate(member) : verdict);
    };
    const looked = files.filter(({ name }) => looksAt(member, name));
    const scans = looked.map((file) => turns.run(Symbol('scan'), () => look(file)));
    return { name: member.name, findings: (await Promise.all(scans)).filter((finding) => finding !== null) };
  };
  return async (files, signal) => {
    const reports = await Promise.all(members.map((member) => scanAll(member, files, signal)));
    signal.throwIfAborted();
    return {
      findings: reports
        .flatMap(({ findings }) => findings)
        .toSorted(byWeight)
        .slice(0, MAX_FINDINGS),
      clean: reports.filter(({ findings }) => findings.length === 0).map(({ name }) => name),
    };
  };
}

function looksAt({ only, skip }: PanelMember, name: string): boolean {
  const extension = /\.([^./]+)$/.exec(name)?.[1]?.toLowerCase() ?? '';
  return (only === undefined || only.includes(extension)) && !skip.includes(extension);
}

const TOO_LATE = Symbol('too late');
const tooLate = ({ timeoutMs }: PanelMember): ScanVerdict => ({
  kind: 'unanswered',
  why: `No verdict within ${timeoutMs / 1000} s.`,
});

async function scan(
  { scanner, timeoutMs }: PanelMember,
  file: StoredFile,
  signal: AbortSignal,
): Promise<ScanVerdict | typeof TOO_LATE> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const either = AbortSignal.any([signal, deadline]);
  try {
    return await Promise.race([scanner.scan(file, either), rejectionOf(either)]);
  } catch (thrown) {
    if (deadline.aborted) return TOO_LATE;
    const { code, message } = thrown as NodeJS.ErrnoException;
    return { kind: 'unanswered', why: code ?? message };
  }
}

/** A scanner that ignores its signal is not waited for. */
function rejectionOf(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return promise;
}

function findingOf(member: PanelMember, file: StoredFile, verdict: ScanVerdict): Finding | null {
  const { name, isRequired, allowsUnknown } = member;
  switch (verdict.kind) {
    case 'clean':
      return null;
    case 'malicious':
      return makeFinding(isRequired ? 'scanner_detected' : 'scanner_warning', `${name}: ${verdict.what}`, file.name);
    case 'unknown':
      if (allowsUnknown) return null;
      return unanswered(isRequired, `${name} does not know this file.`, file.name);
    case 'unanswered':
      return unanswered(isRequired, `${name}: ${verdict.why}`, file.name);
  }
}

const unanswered = (isRequired: boolean, message: string, member: string): Finding =>
  makeFinding(isRequired ? 'scanner_unanswered' : 'scanner_skipped', message, member);

const WEIGHTS = ['scanner_detected', 'scanner_unanswered', 'scanner_warning', 'scanner_skipped'];
const byWeight = (a: Finding, b: Finding): number => WEIGHTS.indexOf(a.code) - WEIGHTS.indexOf(b.code);
