// Tells in an operator's words what holds the workers of this server.
import type { CagePlan } from './contract.ts';
import type { Host, Mechanics } from './mechanics.ts';
import { USEFUL_LANDLOCK_ABI, type StrictCage } from './strict.ts';

export function describePlan(mechanics: Mechanics, host: Host): CagePlan {
  return {
    level: mechanics.level,
    mechanism: mechanism(mechanics, host),
    limits: limits(mechanics, host),
    degraded: degraded(mechanics, host),
  };
}

function mechanism(mechanics: Mechanics, host: Host): string[] {
  const uid = host.isRoot ? ['every worker under a uid of its own, without capabilities'] : [];
  switch (mechanics.level) {
    case 'strict':
      return [
        `bubblewrap ${mechanics.cage.bubblewrap.version}: user, pid, ipc, uts, cgroup, net and mount namespaces`,
        'no network, read-only minimal root, private /tmp, empty environment',
        `seccomp allowlist (${mechanics.cage.architecture}), and a narrower one before model code runs`,
        ...(mechanics.cage.landlockAbi >= USEFUL_LANDLOCK_ABI
          ? [`Landlock ABI ${mechanics.cage.landlockAbi} inside the namespaces`]
          : []),
        ...uid,
      ];
    case 'process':
      return [
        `Landlock ABI ${mechanics.cage.landlock.abi}: no files but its own, no TCP`,
        `seccomp allowlist (${mechanics.cage.architecture}): no sockets, calls with a process id only for itself`,
        'private folder for temporary files, empty environment',
        ...uid,
      ];
    case 'none':
      return [];
  }
}

function limits(mechanics: Mechanics, host: Host): CagePlan['limits'] {
  if (mechanics.level === 'none') return { memory: 'none', tasks: 'none', cpu: 'none', files: 'none', tmp: 'none' };
  const cgroup = host.cgroups === null ? null : `cgroup v${host.cgroups.version}`;
  const sharesUid = mechanics.level === 'process' && !host.isRoot;
  const isSized = mechanics.level === 'strict' ? mechanics.cage.bubblewrap.hasSize : host.canUnshare;
  return {
    memory: cgroup ?? `rlimit for each process, and ${WATCH}`,
    tasks:
      host.cgroups?.roots.has('pids') === true
        ? `${cgroup}`
        : sharesUid
          ? `rlimit for the user, and ${WATCH}`
          : 'rlimit',
    // Each worker is a group, or at least a session, of its own: however many threads it has, it weighs as much as another.
    cpu:
      host.cgroups?.roots.has('cpu') === true
        ? `${cgroup}, in equal shares`
        : 'thread counts and scheduler sessions only',
    files: 'rlimit',
    tmp: isSized ? 'sized tmpfs' : WATCH,
  };
}

const WATCH = 'a watch over the tree';

function withoutSecondStage({ landlockAbi, stagePython }: StrictCage): string[] {
  if (stagePython === null) {
    return [
      'No Python 3 that every worker can read: Node and ONNX workers keep their first filter, without Landlock. ' +
        'To get the second stage: python3 in /usr/bin.',
    ];
  }
  if (landlockAbi >= USEFUL_LANDLOCK_ABI) return [];
  return [
    'No Landlock of ABI 2: the second stage is the filter alone. ' +
      'To get it: Linux 5.19 or newer with "landlock" in the lsm= list.',
  ];
}

function degraded(mechanics: Mechanics, host: Host): string[] {
  if (mechanics.level === 'none')
    return ['Workers run without any isolation: a model can do whatever this server can.'];
  const found: string[] = [];
  if (host.cgroups === null) {
    found.push(
      'No writable cgroup: memory is limited by process and watched for the tree, CPU share is not limited. To get one: ' +
        'Delegate=yes in the systemd service, or a writable cgroup in the container (docs/security-model.md, "Limits").',
    );
  }
  if (mechanics.level === 'process') {
    if (!host.isRoot) {
      found.push(
        'Workers share the uid of the server. To give each one of its own: start as root, or choose "strict".',
      );
    }
    if (!mechanics.cage.hasOwnShm)
      found.push(
        'No shared memory: locks and pools of Python\'s "multiprocessing" work at "strict", or as root, only.',
      );
    found.push('Names, sizes and times of files can be seen, their contents cannot. At "strict" neither can.');
  }
  if (mechanics.level === 'strict') {
    found.push(...withoutSecondStage(mechanics.cage));
    const { hasSize, version } = mechanics.cage.bubblewrap;
    if (!hasSize) {
      found.push(
        `bubblewrap ${version} bounds no temporary files: they are watched. To get a size: bubblewrap 0.7.0 or newer.`,
      );
    }
  }
  if (host.isRoot && !host.canUnshare) {
    found.push(
      'No private mounts: interpreters and models must lie where every user may read them. To get them: CAP_SYS_ADMIN, or ' +
        'start as an ordinary user.',
    );
  }
  return found;
}
