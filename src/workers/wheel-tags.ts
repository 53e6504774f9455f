// Asks an interpreter which wheels it can run. The question holds text of an archive, so it is put inside a cage.
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { Fault } from '../kernel/index.ts';
import type { WorkerLimits } from '../policy/index.ts';
import { spawnCaged, type Cage } from './cage/index.ts';

export interface WheelTags {
  /** Best first. */
  readonly tags: readonly string[];
  /** In the order of the markers. */
  readonly applies: readonly boolean[];
}

const FOLDER = fileURLToPath(new URL('../../python/davy_worker/', import.meta.url));
const TIMEOUT_MS = 20_000;
const MAX_ANSWER_CHARS = 4 * 1024 * 1024;
const MAX_COMPLAINT_CHARS = 300;

/** Throws `model_error`: a marker that cannot be understood, or an interpreter without `packaging` and without pip. */
export async function askWheelTags(
  cage: Cage,
  interpreter: string,
  markers: readonly (string | null)[],
  limits: WorkerLimits,
): Promise<WheelTags> {
  const command = await cage.wrap({
    file: interpreter,
    args: ['-I', '-B', `${FOLDER}wheel_tags.py`, JSON.stringify(markers)],
    env: {},
    runtime: 'python',
    modelDir: FOLDER.slice(0, -1),
    readOnlyPaths: [FOLDER.slice(0, -1)],
    threads: 1,
    limits,
    gpuId: null,
  });
  try {
    const child = spawnCaged(command);
    const [, stdout, stderr, frames] = child.stdio as unknown as [null, Readable, Readable, Readable];
    stdout.resume();
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
    const [answer, complaint] = await Promise.all([text(frames), text(stderr), once(child, 'exit')]);
    clearTimeout(timer);
    return parse(answer, markers.length, complaint);
  } finally {
    await command.dispose();
  }
}

function parse(answer: string, markers: number, complaint: string): WheelTags {
  try {
    if (answer.length > MAX_ANSWER_CHARS) throw new Error('too long');
    const { tags, applies } = JSON.parse(answer) as Record<string, unknown>;
    if (isList(tags, 'string') && isList(applies, 'boolean') && applies.length === markers) {
      return { tags: tags as string[], applies: applies as boolean[] };
    }
    throw new Error('not what was asked for');
  } catch (cause) {
    const last = complaint.trim().split('\n').at(-1) ?? '';
    const message = `The interpreter could not say which wheels it can run: ${last.slice(0, MAX_COMPLAINT_CHARS)}`;
    throw new Fault('model_error', message, { cause });
  }
}

const isList = (value: unknown, type: 'string' | 'boolean'): value is unknown[] =>
  Array.isArray(value) && value.every((item) => typeof item === type);
