// What the commands share: find a Node that is new enough and the entry module, from a checkout or an installed package.
// Plain JavaScript without dependencies, because an old Node may be the one that reads it.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** As package.json says under `engines`; from here on Node runs TypeScript itself. */
const OLDEST_NODE = 24;
const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const PINNED_NODE = join(ROOT, 'tools', 'node', 'node_modules', '.bin', 'node');

/** Runs `main` of an entry module in src/app/cli, or in dist where that was built and src was not shipped. */
export async function start(entry) {
  if (Number.parseInt(process.versions.node, 10) >= OLDEST_NODE) return runHere(entry);
  if (existsSync(PINNED_NODE)) return runOn(PINNED_NODE);
  console.error(`Davy needs Node ${OLDEST_NODE} or newer; this is ${process.version}.`);
  console.error(
    existsSync(join(ROOT, 'tools', 'launch.js'))
      ? `In this checkout, \`npm run demo\` or \`npm test\` fetches one into tools/node; after that this command works.`
      : `Install a newer one (https://nodejs.org/en/download) and run this again.`,
  );
  process.exitCode = 1;
}

async function runHere(entry) {
  // Node 20, which gets only as far as `runOn`, has no such cache to import.
  const { useCompileCache } = await import('./compile-cache.js');
  useCompileCache();
  const source = join(ROOT, 'src', 'app', 'cli', `${entry}.ts`);
  const built = join(ROOT, 'dist', 'app', 'cli', `${entry}.js`);
  const { main } = await import(pathToFileURL(existsSync(source) ? source : built).href).catch(explainMissing);
  process.exitCode = await main(process.argv.slice(2));
}

/** A fresh checkout has no node_modules yet. */
function explainMissing(error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || existsSync(join(ROOT, 'node_modules'))) throw error;
  console.error(`The dependencies are not installed. Run \`npm ci\` in ${ROOT}, then this again.`);
  process.exit(1);
}

/** Hands terminal, arguments, signals and exit status through. */
function runOn(node) {
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  // A terminal sends Ctrl-C to the child as well; forwarding it then would count it twice.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`Cannot start ${node}: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
}
