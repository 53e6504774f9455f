// The state directory is emptied at every start, so it belongs to one server at a time.
import { join } from 'node:path';
import { Fault } from '../kernel/index.ts';
import { privateDirectory } from './models/private-directory.ts';
import { claimLock } from './process-lock.ts';

/** Makes `dir` if need be and takes it for this process until disposed. Throws `invalid_configuration`. */
export async function claimStateDirectory(dir: string): Promise<AsyncDisposable> {
  await privateDirectory(dir);
  return claimLock(
    join(dir, 'lock'),
    (owner) =>
      new Fault(
        'invalid_configuration',
        `The state directory ${dir} belongs to ${owner}. ` +
          'Stop that server, or give this one a directory of its own: state_dir=PATH in config.properties.',
      ),
  );
}
