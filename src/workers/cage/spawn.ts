// Starts a caged command: descriptor 3 is the frame socket, nothing else of this process reaches the child.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync } from 'node:fs';
import type { CagedCommand } from './contract.ts';
import { kernelText } from './kernel-text.ts';

/**
 * stdin is empty, stdout and stderr are pipes, `stdio[3]` is the duplex frame socket. The child leads its own process
 * group, so `endGroup` reaches its descendants.
 * Call it on the main thread only: "die with the parent" means the thread that called spawn.
 */
export function spawnCaged(command: CagedCommand): ChildProcess {
  const nothing = openSync('/dev/null', 'r');
  try {
    const stdio: ('ignore' | 'pipe' | number)[] = ['ignore', 'pipe', 'pipe', 'pipe', ...command.extraFds];
    inherited ??= inheritableFds();
    for (const fd of inherited) {
      if (fd < stdio.length) continue;
      while (stdio.length < fd) stdio.push('ignore');
      stdio[fd] = nothing;
    }
    const child = spawn(command.file, command.args, {
      stdio,
      env: { ...command.env },
      cwd: command.cwd,
      detached: true,
      ...(command.uid === undefined ? {} : { uid: command.uid }),
      ...(command.gid === undefined ? {} : { gid: command.gid }),
    });
    if (child.pid !== undefined) command.attach(child.pid);
    return child;
  } finally {
    closeSync(nothing);
  }
}

/** Kills a child and its descendants: in a cage nobody can leave the group, or leaving it does not help. */
export function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: nobody is left.
  }
}

const O_CLOEXEC = 0o2000000;

/** Looked for once, before there are clients: whatever Node itself opens is closed to children. */
let inherited: readonly number[] | undefined;

/** Descriptors that this process itself inherited and that Node would hand on: they are covered with /dev/null. */
function inheritableFds(): number[] {
  const found: number[] = [];
  // Elsewhere than on Linux there is level `none` only, which hides nothing.
  // Nothing is told of the descriptor that lists the folder: it is closed by now.
  for (const name of existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd') : []) {
    const flags = /^flags:\s+(\d+)$/m.exec(kernelText(`/proc/self/fdinfo/${name}`))?.[1];
    if (flags !== undefined && (Number.parseInt(flags, 8) & O_CLOEXEC) === 0) found.push(Number(name));
  }
  return found.toSorted((a, b) => a - b);
}
