// `davy doctor`: which isolation levels this machine gives, proven by attacks from inside, and what to do for the others.
import { release } from 'node:os';
import type { Settings } from '../../config/index.ts';
import { toFault } from '../../kernel/index.ts';
import { ISOLATION_LEVELS, type IsolationLevel } from '../../policy/index.ts';
import { adviceFor, runBootProbes, type CagePlan, type ProbeReport } from '../../workers/index.ts';
import { configuredCage } from '../isolation.ts';
import { EXIT, type Io, withProgress } from './io.ts';
import { type ServeFlags, readSettings } from './read-settings.ts';
import { printable } from './table.ts';

export interface DoctorOptions extends ServeFlags {
  readonly json?: boolean;
}

type Finding =
  | { readonly level: IsolationLevel; readonly kind: 'tried'; readonly plan: CagePlan; readonly report: ProbeReport }
  | { readonly level: IsolationLevel; readonly kind: 'refused'; readonly reason: string };

/** Exit status 0 when the configured level holds against every attack. Level `none` holds against nothing: 1. */
export async function doctor(io: Io, options: DoctorOptions): Promise<number> {
  const { workers } = readSettings(io, options);
  const { isolation } = workers;
  const findings: Finding[] = [];
  for (const level of ISOLATION_LEVELS.toReversed()) {
    if (level !== 'none') findings.push(await withProgress(io, `attacking level ${level}`, examine(level, workers)));
  }
  io.stdout.write(
    options.json ? `${JSON.stringify({ configured: isolation, findings }, null, 2)}\n` : asText(isolation, findings),
  );
  return findings.some((finding) => finding.level === isolation && holds(finding)) ? EXIT.ok : EXIT.failed;
}

async function examine(level: IsolationLevel, workers: Settings['workers']): Promise<Finding> {
  const { python } = workers;
  try {
    const cage = await configuredCage(workers, level);
    return { level, kind: 'tried', plan: cage.plan, report: await runBootProbes(cage, { all: true, python }) };
  } catch (error) {
    return { level, kind: 'refused', reason: toFault(error).message };
  }
}

const holds = (finding: Finding): boolean => finding.kind === 'tried' && finding.report.hits.length === 0;

function asText(configured: IsolationLevel, findings: readonly Finding[]): string {
  const user = process.getuid?.() === 0 ? 'root (workers get uids of their own)' : 'an ordinary user';
  return [
    `machine     Linux ${release()} ${process.arch}, as ${user}`,
    `configured  ${configured}${configured === 'none' ? ': models can do whatever the server can' : ''}`,
    ...findings.flatMap(describeFinding),
    '',
  ].join('\n');
}

function describeFinding(finding: Finding): string[] {
  const heading = finding.level.padEnd(12);
  if (finding.kind === 'refused') return ['', `${heading}NOT AVAILABLE`, `            ${printable(finding.reason)}`];
  const { plan, report } = finding;
  const attacks = report.blocked.length + report.hits.length;
  const verdict =
    report.hits.length === 0
      ? `holds: ${attacks} attacks stopped`
      : `DOES NOT HOLD: ${report.hits.length} of ${attacks} attacks`;
  const limits = Object.entries(plan.limits).map(([name, by]) => `${name} by ${by}`);
  return [
    '',
    `${heading}${verdict} in ${report.tookMs} ms`,
    ...plan.mechanism.map((line) => `            ${line}`),
    `            limits: ${limits.join('; ')}`,
    ...plan.degraded.map((line) => `            note: ${line}`),
    ...report.hits.flatMap(({ id, title, evidence }) => [
      `            ${id}: a worker could ${title}: ${printable(evidence ?? '')}`,
      `                 ${adviceFor(id, finding.level)}`,
    ]),
  ];
}
