// A model store in a folder of its own, filled with small TorchServe models.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export interface TestStore extends Disposable {
  readonly dir: string;
  /** Adds a no-archive model: a handler, further files, and an optional model-config.yaml. */
  add(
    name: string,
    handler: string,
    extras?: { readonly config?: string; readonly files?: Record<string, string> },
  ): void;
}

export function makeModelStore(): TestStore {
  const dir = mkdtempSync(join(tmpdir(), 'davy-store-'));
  return {
    dir,
    add(name, handler, { config, files = {} } = {}) {
      const model = {
        modelName: name,
        modelVersion: '1.0',
        handler: `${name}.py`,
        ...(config === undefined ? {} : { configFile: 'model-config.yaml' }),
      };
      const manifest = { createdOn: '01/01/2026 00:00:00', runtime: 'python', model, archiverVersion: '0.12.0' };
      const all: Record<string, string> = {
        'MAR-INF/MANIFEST.json': JSON.stringify(manifest),
        [`${name}.py`]: handler,
        ...(config === undefined ? {} : { 'model-config.yaml': config }),
        ...files,
      };
      for (const [file, text] of Object.entries(all)) {
        const path = join(dir, name, file);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, text);
      }
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
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
