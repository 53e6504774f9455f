// How a server that is root becomes nobody before a worker starts: private mounts, cgroup, then another uid for good.
import { existsSync, statSync } from 'node:fs';
import { Fault } from '../../kernel/index.ts';
import { planReach, quote, reachScript } from './reach.ts';

export interface RootChain {
  /** undefined when the server is not root and its own uid is kept. */
  readonly uid: number | undefined;
  readonly canUnshare: boolean;
  /** Everything the worker must be able to open. */
  readonly paths: readonly string[];
  readonly cgroupEntrances: readonly string[];
  /** A private folder to cover, like /dev/shm, with a tmpfs of this size, where mounts can be made. */
  readonly tmp?: { readonly path: string; readonly bytes: number };
}

/** Puts what is needed in front of a command. Throws `worker_start_failed` when a path stays out of the worker's reach. */
export function chain(options: RootChain, command: readonly string[]): readonly string[] {
  const enter = options.cgroupEntrances.map((path) => `echo $$ > ${quote(path)}`);
  if (options.uid === undefined)
    return enter.length === 0 ? command : ['/bin/sh', '-c', script(enter), 'davy', ...command];

  const mounts = mountScript(options, options.uid);
  const id = String(options.uid);
  const become = [
    'setpriv',
    '--reuid',
    id,
    '--regid',
    id,
    '--clear-groups',
    '--inh-caps=-all',
    '--bounding-set=-all',
    '--no-new-privs',
  ];
  const shell = ['/bin/sh', '-c', script([...enter, ...mounts]), 'davy', ...become, ...command];
  return mounts.length === 0 ? shell : ['unshare', '--mount', '--propagation', 'slave', ...shell];
}

function mountScript(options: RootChain, uid: number): string[] {
  const plan = planReach(options.paths);
  const [closed] = plan.closed;
  if (closed !== undefined) {
    throw new Fault('worker_start_failed', `The worker's uid ${uid} may not read ${closed}: chmod -R a+rX ${closed}`);
  }
  const [blocked] = plan.blocked;
  if (blocked !== undefined && !options.canUnshare) {
    const remedy = `make ${blocked} passable (chmod o+x), move what is in it, or start the server as an ordinary user`;
    throw new Fault('worker_start_failed', `The worker's uid ${uid} cannot reach ${plan.behind[0]}: ${remedy}.`);
  }
  const own = `size=${options.tmp?.bytes},nr_inodes=${MAX_TMP_FILES},mode=700,uid=${uid},gid=${uid}`;
  const folders =
    options.tmp === undefined || !options.canUnshare
      ? []
      : [options.tmp.path, ...SHARED_MEMORY.filter((path) => existsSync(path))];
  const tmp = folders.map((path) => `mount -t tmpfs -o ${own} davy ${quote(path)}`);
  return [...reachScript(plan, (path) => statSync(path).isDirectory()), ...tmp];
}

const SHARED_MEMORY = ['/dev/shm'];

/** Enough for any library's caches; each costs the kernel about a kilobyte. */
const MAX_TMP_FILES = 32_768;

/** The first failure ends it: a worker that missed its cgroup or its mounts must not start. */
function script(lines: readonly string[]): string {
  return ['set -e', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...lines, 'exec "$@"'].join('\n');
}
