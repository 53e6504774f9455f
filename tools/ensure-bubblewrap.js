// Installs bubblewrap, which the isolation level "strict" is made of, where that may be done without asking: as root on
// Debian and its kin. Elsewhere it prints the line to type. It never fails the run: Davy says itself what it lacks.
// Plain JavaScript without dependencies; any Node from 18 on.
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A package mirror that hangs must not hang the run. */
const APT_TIMEOUT_MS = 120_000;

/** Package managers in the order they are looked for, and how each installs. */
const INSTALL = {
  'apt-get': 'apt-get install -y bubblewrap',
  dnf: 'dnf install -y bubblewrap',
  zypper: 'zypper install -y bubblewrap',
  pacman: 'pacman -S bubblewrap',
  apk: 'apk add bubblewrap',
};

if (process.platform === 'linux' && !has('bwrap')) {
  const isRoot = process.getuid() === 0;
  const manager = Object.keys(INSTALL).find(has);
  if (isRoot && manager === 'apt-get' && installByApt())
    say('bubblewrap is installed: workers can run at isolation level "strict"');
  else advise(isRoot, manager);
}

function installByApt() {
  say('installing bubblewrap (the cage of the workers) with apt-get');
  if (apt('install')) return true;
  say('the package lists are old or missing: apt-get update, then once more');
  return apt('update') && apt('install');
}

function apt(step) {
  const args =
    step === 'update' ? ['update', '-qq'] : ['install', '-y', '-qq', '--no-install-recommends', 'bubblewrap'];
  const outcome = spawnSync('apt-get', args, {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'ignore'],
    timeout: APT_TIMEOUT_MS,
  });
  return outcome.status === 0 && (step === 'update' || has('bwrap'));
}

function advise(isRoot, manager) {
  const line =
    manager === undefined ? 'install the package "bubblewrap"' : `${isRoot ? '' : 'sudo '}${INSTALL[manager]}`;
  say(`bubblewrap is not installed: isolation level "strict" cannot be had. To get it: ${line}`);
}

function has(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/bin', '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function say(line) {
  process.stderr.write(`davy: ${line}\n`);
}
