// Weights, images and vocabularies that Python itself makes for a test: what a user's training script leaves behind.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';

/** The bytes of a file that the script wrote. Throws for a name that it did not write. */
export type Asset = (name: string) => Buffer;

/** Runs `script` in a folder of its own, beside the `modules` that it imports. */
export function makeAssets(script: string, modules: Readonly<Record<string, string>> = {}): Asset {
  const folder = mkdtempSync(join(tmpdir(), 'davy-assets-'));
  try {
    const sources = { ...modules, 'export.py': script };
    for (const [name, text] of Object.entries(sources)) writeFileSync(join(folder, name), text);
    const made = spawnSync(PYTHON, ['-B', 'export.py'], { cwd: folder, encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    const files = new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
    return (name) => files.get(name) ?? assert.fail(`the script wrote no ${name}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
