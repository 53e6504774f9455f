// Why a caged process ended, told from its exit status and what the kernel counted.
import { constants } from 'node:os';
import type { DeathCause } from '../../serving/index.ts';
import type { Excess } from './tree-watch.ts';

/** A shell and bubblewrap report "killed by signal n" as exit status 128 + n. */
const SIGNAL_BASE = 128;

export interface ExitEvidence {
  /** The cgroup's count of processes killed for want of memory. */
  readonly oomKills: number;
  /** The bound for which the watch over the tree ended the worker. */
  readonly excess: Excess | null;
}

export function exitCause(
  exitCode: number | null,
  signal: string | null,
  { oomKills, excess }: ExitEvidence,
): DeathCause {
  if (excess === 'memory') return { kind: 'out_of_memory' };
  if (excess !== null) return { kind: 'over_limit', limit: excess };
  const name = signal ?? signalOfStatus(exitCode ?? 0);
  // Where a child of the worker was the one that was killed, the worker's own exit counts as itself.
  if (name === 'SIGKILL' && oomKills > 0) return { kind: 'out_of_memory' };
  if (name !== null) return { kind: 'signal', signal: name };
  return { kind: 'exit', exitCode: exitCode ?? 0 };
}

function signalOfStatus(status: number): string | null {
  if (status <= SIGNAL_BASE) return null;
  return Object.entries(constants.signals).find(([, number]) => number === status - SIGNAL_BASE)?.[0] ?? null;
}
