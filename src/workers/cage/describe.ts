// The answer of `GET /isolation`: what holds the workers of this server, and what was tried against it at start.
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

/** What an operator can do about a probe that got through. The first letter of its id is the wall it went through. */
export function adviceFor(id: string): string {
  switch (id[0]) {
    case 'F':
      return 'the file view is too wide: check for a bwrap wrapper or an LSM that rewrites mounts, and update bubblewrap';
    case 'P':
      return 'processes of the host are in reach: do not run the server with hostPID or --pid=host, and update bubblewrap';
    case 'N':
      return 'the network is in reach: at "process" this needs Landlock ABI 4 (Linux 6.7) and seccomp; prefer "strict"';
    case 'K':
      return 'the syscall filter is not in force: this kernel needs CONFIG_SECCOMP_FILTER';
    default:
      return 'a limit does not hold: delegate a cgroup to the server (docs/security-model.md, "Limits")';
  }
}
