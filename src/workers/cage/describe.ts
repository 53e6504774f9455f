// The answer of `GET /isolation`: what holds the workers of this server, and what was tried against it at start.
import type { IsolationLevel } from '../../policy/index.ts';
import type { Cage, CagePlan } from './contract.ts';
import type { ProbeReport } from './probes.ts';

/** JSON as it is served. Names no path, no uid and no version of the machine beyond the mechanisms'. */
export interface IsolationDescription extends CagePlan {
  /** null where no probes ran, as at level `none`. */
  readonly probes: {
    readonly run: number;
    readonly blocked: number;
    readonly hits: readonly { readonly id: string; readonly title: string }[];
  } | null;
}

export function describeIsolation(cage: Cage, report: ProbeReport | null): IsolationDescription {
  const probes =
    report === null
      ? null
      : {
          run: report.blocked.length + report.hits.length,
          blocked: report.blocked.length,
          hits: report.hits.map(({ id, title }) => ({ id, title })),
        };
  return { ...cage.plan, probes };
}

const NO_FILTER = 'the syscall filter is not in force: this kernel needs CONFIG_SECCOMP_FILTER';

/** Probes that go through another wall than their letter says. */
const ADVICE: Readonly<Record<string, string>> = {
  F19: 'the second stage is not in force: this kernel needs "landlock" in its lsm= list',
  F22: NO_FILTER,
  F23: NO_FILTER,
  P09: 'something between the server and its workers gives privileges back: no setuid bwrap, and no "sudo" or "su" as its wrapper',
  P20: NO_FILTER,
  P25: NO_FILTER,
  R04: 'a limit does not hold: let no wrapper of the server raise "ulimit -c"',
};

/** What an operator can do about a probe that got through. The first letter of its id is the wall it went through. */
export function adviceFor(id: string, level: IsolationLevel): string {
  const advice = ADVICE[id];
  if (advice !== undefined) return advice;
  switch (id[0]) {
    case 'F':
      return level === 'process'
        ? 'Landlock does not hold: boot Linux 6.7 or newer with "landlock" in the lsm= list, or choose "strict"'
        : 'the file view is too wide: check for a bwrap wrapper or an LSM that rewrites mounts, and update bubblewrap';
    case 'P':
      return level === 'process'
        ? 'other processes are in reach: start the server as root, so that workers get uids of their own, or choose "strict"'
        : 'processes of the host are in reach: do not run the server with hostPID or --pid=host, and update bubblewrap';
    case 'N':
      return 'the network is in reach: at "process" this needs Landlock ABI 4 (Linux 6.7) and seccomp; prefer "strict"';
    case 'K':
      return NO_FILTER;
    default:
      return 'a limit does not hold: delegate a cgroup to the server (docs/security-model.md, "Limits")';
  }
}
