#!/usr/bin/env node
// Runs a script of this repository on a Node that is new enough, with the dependencies that the lockfile names.
// Plain JavaScript without dependencies, because it is what an old Node meets first: `node tools/launch.js <script> [arguments]`.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Type stripping without a flag and `--test-isolation=none` both need it; so does the product (package.json, engines). */
const OLDEST_NODE = 24;
const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');

const [script, ...args] = process.argv.slice(2);
if (script === undefined) stop('Usage: node tools/launch.js <script> [arguments]');
const node = runningNodeIsNewEnough() ? process.execPath : pinnedNode();
ensureDependencies();
const ensureBubblewrap = join(ROOT, 'tools', 'ensure-bubblewrap.js');
if (existsSync(ensureBubblewrap)) {
  const outcome = spawnSync(node, [ensureBubblewrap], { cwd: ROOT, stdio: 'inherit' });
  if (outcome.status !== 0) process.exit(outcome.status ?? 1);
}
run(node, [resolve(ROOT, script), ...args]);

function runningNodeIsNewEnough() {
  return Number.parseInt(process.versions.node, 10) >= OLDEST_NODE;
}

/** The Node build that tools/node pins by version and hash; installed on first use. */
function pinnedNode() {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    stop(
      `Davy needs Node ${OLDEST_NODE} or newer; this is ${process.version} on ${process.platform} ${process.arch},`,
      'for which no pinned build is listed in tools/node/package.json.',
      `Install Node ${OLDEST_NODE} or newer (https://nodejs.org/en/download) and run this again.`,
    );
  }
  const home = join(ROOT, 'tools', 'node');
  const packageName = `node-linux-${process.arch}`;
  const installed = join(home, 'node_modules', packageName);
  const binary = join(installed, 'bin', 'node');
  const wanted = readJson(join(home, 'package.json')).optionalDependencies[packageName];
  const isThere = () => existsSync(binary) && readJson(join(installed, 'package.json')).version === wanted;
  if (!isThere()) {
    progress(`Node ${process.version} is too old: fetching Node ${wanted} into tools/node (once, about 60 MB)`);
    npm(['ci', '--prefix', home, '--ignore-scripts', '--loglevel=error'], home);
    if (!isThere())
      stop(`npm ran, but ${binary} is not there. Try: rm -rf tools/node/node_modules, then run this again.`);
  }
  return binary;
}

/** node_modules must hold what package-lock.json says: by our own stamp, or by npm's record of what it installed. */
function ensureDependencies() {
  const lockText = readFileSync(join(ROOT, 'package-lock.json'));
  const hash = createHash('sha256').update(lockText).digest('hex');
  const stamp = join(ROOT, 'node_modules', '.davy-lock');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  if (!isInstalled(JSON.parse(lockText.toString()))) {
    progress('Installing the dependencies of package-lock.json (about half a minute)');
    npm(['ci', '--ignore-scripts', '--loglevel=error'], ROOT);
  }
  writeFileSync(stamp, hash);
}

function isInstalled(lock) {
  const record = join(ROOT, 'node_modules', '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = readJson(record).packages;
  return Object.entries(lock.packages).every(
    ([path, wanted]) => path === '' || !isForThisMachine(wanted) || installed[path]?.integrity === wanted.integrity,
  );
}

function isForThisMachine({ os, cpu, libc }) {
  return (
    (!os || os.includes(process.platform)) && (!cpu || cpu.includes(process.arch)) && (!libc || libc.includes('glibc'))
  );
}

function npm(npmArgs, cwd) {
  const outcome = spawnSync('npm', npmArgs, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  if (outcome.error?.code === 'ENOENT')
    stop('npm is not on PATH. Install it (Debian: apt install npm) and run this again.');
  if (outcome.status !== 0) {
    stop(
      `npm ${npmArgs[0]} failed in ${cwd}; npm's own words are above.`,
      'Without network access it cannot work: check `npm ping`, your proxy and `npm config get registry`.',
    );
  }
}

/** Hands terminal, arguments, signals and exit status through, as if the script had been started directly. */
function run(command, commandArgs) {
  const path = `${dirname(command)}${delimiter}${process.env.PATH ?? ''}`;
  const child = spawn(command, commandArgs, { stdio: 'inherit', env: { ...process.env, PATH: path } });
  // A terminal sends Ctrl-C to the child as well; forwarding it then would count it twice.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => stop(`Cannot start ${command}: ${error.message}`));
  child.on('exit', (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}

function progress(line) {
  process.stderr.write(`${line} ...\n`);
}

function stop(...lines) {
  process.stderr.write(`${lines.join('\n')}\n`);
  process.exit(1);
}
