// Pickles that lie in files: read as far as they go, and checked for what stands behind them.
import type { RandomAccess } from '../random-access.ts';
import { Refusal } from './refusal.ts';
import { NeedsMoreBytes } from './pickle/cursor.ts';
import { interpretPickleGently, type InterpretOptions, type PickleSummary } from './pickle/interpret.ts';
import type { Report } from './report.ts';

/** A pickle without its tensors: names and shapes. The largest real ones have tens of megabytes. */
export const MAX_PICKLE_BYTES = 256 * 1024 * 1024;
const FIRST_READ_BYTES = 1024 * 1024;
const GROWTH = 16;

/** Interprets the pickle at `start`, reading no more of the file than the stream is long (up to a factor of sixteen). */
export async function readPickle(
  file: RandomAccess,
  start: number,
  options: InterpretOptions = {},
): Promise<PickleSummary> {
  const total = file.size - start;
  for (let budget = FIRST_READ_BYTES; ; budget *= GROWTH) {
    const bytes = await file.read(start, Math.min(budget, total, MAX_PICKLE_BYTES));
    try {
      options.storages?.clear();
      const summary = await interpretPickleGently(bytes, { ...options, start: 0, total });
      return { ...summary, end: start + summary.end };
    } catch (thrown) {
      if (!(thrown instanceof NeedsMoreBytes)) throw at(thrown, start);
      if (budget >= MAX_PICKLE_BYTES) throw new Refusal('pickle_limit', 'A pickle is larger than 256 MiB.', start);
    }
  }
}

function at(thrown: unknown, start: number): unknown {
  if (!(thrown instanceof Refusal) || thrown.offset === undefined) return thrown;
  return new Refusal(thrown.code, thrown.message, start + thrown.offset);
}

export function noteProtocol(summary: PickleSummary, report: Report): void {
  if (!summary.isWeightsOnly) {
    report.add(
      'pickle_not_weights_only',
      'The pickle is harmless, but torch.load(weights_only=True) does not read it.',
    );
  }
}

export function trailing(offset: number): Refusal {
  return new Refusal('pickle_trailing_data', 'Something follows the end of the pickle.', offset);
}
