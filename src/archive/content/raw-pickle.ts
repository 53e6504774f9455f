// Files that start with a pickle: a plain one, or torch's legacy checkpoint.
import type { RandomAccess } from '../random-access.ts';
import type { Checkpoint } from './checkpoint.ts';
import { noteProtocol, readPickle, trailing } from './pickle-file.ts';
import type { Report } from './report.ts';
import { inspectTorchLegacy, isTorchMagic } from './torch-legacy.ts';

/** A file that starts with a pickle: torch's legacy checkpoint, or a plain one (null), which must be all of the file. */
export async function inspectPickleFile(file: RandomAccess, report: Report): Promise<Checkpoint | null> {
  const first = await readPickle(file, 0);
  if (isTorchMagic(first.value)) return inspectTorchLegacy(file, first, report);
  if (first.end !== file.size) throw trailing(first.end);
  noteProtocol(first, report);
  return null;
}
