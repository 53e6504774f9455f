// Why a caged process ended, told from its exit status and what the kernel counted.
import { constants } from 'node:os';
import type { DeathCause } from '../../serving/index.ts';

/** A shell and bubblewrap report "killed by signal n" as exit status 128 + n. */
const SIGNAL_BASE = 128;

/** `oomKills` is the cgroup's count; a kill by the kernel for want of memory is SIGKILL with that count above zero. */
export function exitCause(exitCode: number | null, signal: string | null, oomKills: number): DeathCause {
  const name = signal ?? signalOfStatus(exitCode ?? 0);
  // A child of the worker may have been the one that was killed: then the worker's own exit counts as itself.
  if (name === 'SIGKILL' && oomKills > 0) return { kind: 'out_of_memory' };
  if (name !== null) return { kind: 'signal', signal: name };
  return { kind: 'exit', exitCode: exitCode ?? 0 };
}

function signalOfStatus(status: number): string | null {
  if (status <= SIGNAL_BASE) return null;
  return Object.entries(constants.signals).find(([, number]) => number === status - SIGNAL_BASE)?.[0] ?? null;
}
