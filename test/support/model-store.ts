// A model store in a folder of its own, filled with small TorchServe models.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildTarGz, buildZip } from '../attack/archives.ts';

export interface ModelExtras {
  /** The text of model-config.yaml. */
  readonly config?: string;
  readonly files?: Readonly<Record<string, string | Buffer>>;
  /** Members of the manifest's `model`, over the usual ones; `undefined` leaves one out. */
  readonly model?: Readonly<Record<string, string | undefined>>;
  /** Members of the manifest itself. */
  readonly manifest?: Readonly<Record<string, unknown>>;
}

export interface TestStore extends Disposable {
  readonly dir: string;
  /** Adds a no-archive model: a handler, further files, and an optional model-config.yaml. */
  add(name: string, handler: string, extras?: ModelExtras): void;
  /** Adds the same as one archive: `.mar` is a ZIP, everything else a gzipped tar with one root folder. */
  addArchive(fileName: string, name: string, handler: string, extras?: ModelExtras): void;
}

export function makeModelStore(): TestStore {
  const dir = mkdtempSync(join(tmpdir(), 'davy-store-'));
  return {
    dir,
    add(name, handler, extras = {}) {
      for (const [file, content] of filesOf(name, handler, extras)) {
        const path = join(dir, name, file);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, content);
      }
    },
    addArchive(fileName, name, handler, extras = {}) {
      const files = filesOf(name, handler, extras);
      const bytes = fileName.endsWith('.mar')
        ? buildZip(files.map(([file, data]) => ({ name: file, data })))
        : buildTarGz(files.map(([file, data]) => ({ name: `${name}/${file}`, data: Buffer.from(data) })));
      writeFileSync(join(dir, fileName), bytes);
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
}

function filesOf(name: string, handler: string, extras: ModelExtras): [string, string | Buffer][] {
  const { config, files = {} } = extras;
  const model = {
    modelName: name,
    modelVersion: '1.0',
    handler: `${name}.py`,
    ...(config === undefined ? {} : { configFile: 'model-config.yaml' }),
    ...extras.model,
  };
  const manifest = {
    createdOn: '01/01/2026 00:00:00',
    runtime: 'python',
    model,
    archiverVersion: '0.12.0',
    ...extras.manifest,
  };
  return Object.entries({
    'MAR-INF/MANIFEST.json': JSON.stringify(manifest),
    [`${name}.py`]: handler,
    ...(config === undefined ? {} : { 'model-config.yaml': config }),
    ...files,
  });
}

/** Answers `OK`, as TorchServe's own smallest test model does. */
export const NOOP = `
def handle(data, context):
    if data is None:
        return None
    return ["OK"] * len(data)
`;

/** Answers the text of the request after as many seconds as it says: `0.5:hello`. */
export const SLOW_ECHO = `
import time

def handle(data, context):
    if data is None:
        return None
    answers = []
    for row in data:
        body = row.get("body") or ""
        text = body if isinstance(body, str) else bytes(body).decode()
        seconds, _, word = text.partition(":")
        time.sleep(float(seconds or 0))
        answers.append(word)
    return answers
`;
