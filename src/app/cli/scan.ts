// `davy scan`: says of model files and archives, wherever they lie, whether a server would admit them.
import { Option, type Command } from 'commander';
import type { Finding } from '../../kernel/index.ts';
import type { ScanTarget } from '../scan/list-targets.ts';
import type { ScannedFile } from '../scan/scan-paths.ts';
import { type Io, systemMessage, withProgress } from './io.ts';
import { printable } from './table.ts';

export interface ScanFlags {
  readonly json?: boolean;
  readonly sarif?: boolean;
  readonly all?: boolean;
}

/** What the shell sees; unlike other commands, a scan has three outcomes. */
const SCAN_EXIT = { allowed: 0, denied: 1, failed: 2, interrupted: 130 } as const;

export function addScanOptions(command: Command): Command {
  return command
    .argument('<path...>', 'model files, archives, directories')
    .option('--json', 'one JSON object per line and file: file, verdict, findings')
    .addOption(new Option('--sarif', 'one SARIF 2.1.0 log, for code scanning services').conflicts('json'))
    .option('--all', 'show remarks (severity info) too')
    .addHelpText('after', SCAN_EXAMPLES);
}

const SCAN_EXAMPLES = `
Examples:
  davy scan model.pt                    a checkpoint
  davy scan models/ --sarif > scan.sarif
  davy scan model.mar --json | jq .verdict

Nothing in a file is run, imported or unpickled. Links inside directories are followed where they stay inside what is
scanned, or lead into the blobs of a Hugging Face cache; other links are denied, and so is whatever is no file.
Exit status: 0 everything is allowed, 1 something is denied, 2 the scan could not run, or there was nothing to scan.`;

/** Scans every path and returns the exit status. */
export async function scan(io: Io, paths: readonly string[], flags: ScanFlags): Promise<number> {
  const { targets, isComplete } = await collect(io, paths);
  const scanned = await scanAll(io, targets, flags);
  if (scanned === undefined) return SCAN_EXIT.interrupted;
  const hasFailed = scanned.some(({ findings }) => findings.some(({ code }) => code === 'inspection_failed'));
  const isWhole = isComplete && !hasFailed;
  if (flags.sarif === true) {
    const { toSarif } = await import('../scan/sarif.ts');
    io.stdout.write(`${JSON.stringify(toSarif(scanned, isWhole), undefined, 2)}\n`);
  } else if (flags.json !== true) io.stdout.write(summary(scanned));
  if (!isWhole) return SCAN_EXIT.failed;
  return scanned.some(({ verdict }) => verdict === 'deny') ? SCAN_EXIT.denied : SCAN_EXIT.allowed;
}

/** Tells of each file as soon as it is scanned. Undefined: somebody interrupted, and what was unpacked is removed. */
async function scanAll(
  io: Io,
  targets: readonly ScanTarget[],
  flags: ScanFlags,
): Promise<readonly ScannedFile[] | undefined> {
  const { scanFile } = await import('../scan/scan-paths.ts');
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  for (const signal of SIGNALS) process.once(signal, stop);
  const progress = new Progress(io, targets.length);
  const scanned: ScannedFile[] = [];
  try {
    for (const target of targets) {
      progress.show(scanned.length, target.path);
      const file = await scanFile(target, stopping.signal);
      scanned.push(file);
      progress.clear();
      if (flags.json === true) io.stdout.write(`${JSON.stringify(file)}\n`);
      else if (flags.sarif !== true) io.stdout.write(describe(file, flags.all === true));
    }
    return scanned;
  } catch (thrown) {
    if (!stopping.signal.aborted) throw thrown;
    progress.clear();
    io.stderr.write(`Interrupted after ${scanned.length} of ${targets.length} files.\n`);
    return undefined;
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** A path without a file is a mistake in a path, or a hole in what somebody believes was scanned. */
async function collect(io: Io, paths: readonly string[]): Promise<{ targets: ScanTarget[]; isComplete: boolean }> {
  const { listTargets, scanRoots } = await import('../scan/list-targets.ts');
  const targets: ScanTarget[] = [];
  let isComplete = true;
  const complain = (message: string): void => {
    isComplete = false;
    io.stderr.write(`${printable(message)}\n`);
  };
  const roots = await scanRoots(paths);
  for (const path of paths) {
    if (path === '-') {
      complain('Standard input cannot be scanned: a model is read from several places at once. Give a file.');
      continue;
    }
    try {
      const found = await withProgress(io, `Listing ${printable(path)}`, listTargets(path, roots));
      if (found.length === 0) complain(`${path}: there is no file to scan.`);
      for (const target of found) targets.push(target);
    } catch (thrown) {
      complain(thrown instanceof Error ? systemMessage(thrown) : String(thrown));
    }
  }
  return { targets, isComplete };
}

/** The file, and under it what was found; allowed files with remarks only are one line. */
function describe({ file, verdict, findings }: ScannedFile, isAll: boolean): string {
  const shown = findings.filter(({ severity }) => isAll || severity !== 'info');
  return `${verdict === 'deny' ? 'DENY ' : 'allow'}  ${printable(file)}\n${shown.map(describeFinding).join('')}`;
}

function describeFinding({ code, severity, member, offset, message, remedy }: Finding): string {
  const place = [member, offset === undefined ? '' : `byte ${offset}`].filter((part) => part !== '').join(', ');
  const at = place === '' ? '' : ` (${printable(place)})`;
  return `       ${severity}: ${code}${at}\n         ${printable(message)}\n         ${remedy}\n`;
}

function summary(scanned: readonly ScannedFile[]): string {
  const denied = scanned.filter(({ verdict }) => verdict === 'deny').length;
  const files = scanned.length === 1 ? '1 file' : `${scanned.length} files`;
  return `${files}: ${scanned.length - denied} allowed, ${denied} denied\n`;
}

/** Fewer files than this are done before a bar is read. */
const MIN_FILES_FOR_BAR = 20;
const BAR_CELLS = 24;
const NAME_CELLS = 48;

/** A bar on stderr, only where somebody watches. */
class Progress {
  readonly #io: Io;
  readonly #total: number;
  readonly #isShown: boolean;

  constructor(io: Io, total: number) {
    this.#io = io;
    this.#total = total;
    this.#isShown = io.stderr.isTTY === true && total >= MIN_FILES_FOR_BAR;
  }

  show(done: number, path: string): void {
    if (!this.#isShown) return;
    const cells = Math.floor((done / this.#total) * BAR_CELLS);
    const bar = '#'.repeat(cells).padEnd(BAR_CELLS);
    this.#io.stderr.write(`\r\x1b[K[${bar}] ${done}/${this.#total} ${printable(path).slice(-NAME_CELLS)}`);
  }

  clear(): void {
    if (this.#isShown) this.#io.stderr.write('\r\x1b[K');
  }
}
