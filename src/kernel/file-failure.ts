// Why a file or directory of the server's own cannot be used, and what to do about it.
import { Fault } from './fault.ts';

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EEXIST: 'a file stands in its place',
  ENOTDIR: 'a file stands where a directory should',
  ELOOP: 'a symbolic link stands in its place',
};

/** `fix` ends the sentence "To fix it, …". */
export function fileFailure(path: string, cause: unknown, fix: string): Fault {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  return new Fault('invalid_configuration', `${path}: ${REASONS[code] ?? message}. To fix it, ${fix}.`, { cause });
}
