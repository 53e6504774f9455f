// Where the Python half of the cage lies: beside `src/` in the repository and beside `dist/` in the package.
import { fileURLToPath } from 'node:url';

const PYTHON_FOLDER = fileURLToPath(new URL('../../../python/', import.meta.url));

/** Applies restrictions to itself and becomes another command. */
export function cageScript(): string {
  return `${PYTHON_FOLDER}davy_worker/cage.py`;
}

/** The short escape suite that a throw-away worker runs. */
export function probeScript(): string {
  return `${PYTHON_FOLDER}davy_worker/cage_probes.py`;
}

/** What is tried where there is no Python: the entry beside this file, compiled or not. */
export function nodeProbeScript(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`./probe-entry.${extension}`, import.meta.url));
}
