// The bubblewrap command line of level `strict`: what a worker's world consists of. Pure.

export interface BubblewrapView {
  /** Absolute paths shown read-only under the same name, parents before children. */
  readonly readOnly: readonly string[];
  /** Folders of `/usr` that no worker needs, hidden under an empty one. */
  readonly hidden: readonly string[];
  /** The unpacked model outside, by an open descriptor where bubblewrap takes one, and the name it has inside. */
  readonly model: { readonly from: string; readonly fd: number | null; readonly to: string };
  /** Size of /tmp, and of /dev/shm; null where bubblewrap cannot bound them. */
  readonly tmpBytes: number | null;
  readonly env: Readonly<Record<string, string>>;
  /** Device nodes of the assigned GPU; empty without one. */
  readonly devices: readonly string[];
  /** Driver state under /proc and /sys that a GPU needs. */
  readonly gpuPaths: readonly string[];
  readonly hasDisableUserns: boolean;
  /** Descriptor that carries the seccomp program. */
  readonly seccompFd: number;
}

/** Nobody: the uid that a worker believes to have. */
const INSIDE_UID = '65534';

const NAMESPACES = ['user', 'pid', 'ipc', 'uts', 'cgroup', 'net'];

/** Merged-/usr links, the linker's cache, and where Debian keeps BLAS alternatives. Skipped where they do not exist. */
const SYSTEM = [
  '/etc/ld.so.cache',
  '/etc/ld.so.conf',
  '/etc/ld.so.conf.d',
  '/etc/alternatives',
  '/etc/localtime',
  '/etc/mime.types',
];

/**
 * Arguments for `--args`. The order is meaning: later mounts cover earlier ones, and `/` and `/dev` (a tmpfs of half
 * the machine's memory each) are sealed after everything that needs a mount point in them.
 */
export function bubblewrapArguments(view: BubblewrapView): string[] {
  const size = view.tmpBytes === null ? [] : ['--size', String(view.tmpBytes)];
  return [
    ...NAMESPACES.map((name) => `--unshare-${name}`),
    ...['--hostname', 'worker', '--uid', INSIDE_UID, '--gid', INSIDE_UID],
    ...(view.hasDisableUserns ? ['--disable-userns'] : []),
    ...['--die-with-parent', '--new-session', '--cap-drop', 'ALL', '--clearenv'],
    ...Object.entries(view.env).flatMap(([name, value]) => ['--setenv', name, value]),
    ...['--ro-bind', '/usr', '/usr'],
    ...['lib', 'lib32', 'lib64', 'bin', 'sbin'].flatMap((name) => ['--ro-bind-try', `/${name}`, `/${name}`]),
    ...SYSTEM.flatMap((path) => ['--ro-bind-try', path, path]),
    ...view.hidden.flatMap((path) => ['--tmpfs', path, '--remount-ro', path]),
    ...['--dev', '/dev', ...view.devices.flatMap((path) => ['--dev-bind', path, path])],
    ...[...size, '--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
    ...[...size, '--perms', '0700', '--tmpfs', '/tmp'],
    // No /proc: these two files are all that a framework asks of it, and mountinfo would tell host paths.
    ...(view.gpuPaths.length > 0 ? ['--proc', '/proc'] : ['cpuinfo', 'meminfo'].flatMap(procFile)),
    ...view.gpuPaths.flatMap((path) => ['--ro-bind-try', path, path]),
    ...view.readOnly.flatMap((path) => ['--ro-bind', path, path]),
    ...(view.model.fd === null
      ? ['--ro-bind', view.model.from, view.model.to]
      : ['--ro-bind-fd', String(view.model.fd), view.model.to]),
    ...['--chdir', view.model.to],
    ...['--remount-ro', '/', '--seccomp', String(view.seccompFd)],
  ];
}

function procFile(name: string): string[] {
  return ['--ro-bind', `/proc/${name}`, `/proc/${name}`];
}
