// Which configuration files count (surface spec 7.2), and which files found by accident may be trusted at all.
import { Fault } from '../kernel/index.ts';
import { snapshotNames } from './snapshot.ts';

export interface LookupInput {
  /** TS_CONFIG_FILE. */
  readonly env: string | undefined;
  /** `--ts-config` or `--config`. */
  readonly flag: string | undefined;
  /** File names in `{LOG_LOCATION}/config`. */
  readonly snapshotNames: readonly string[];
  readonly usesSnapshots: boolean;
  readonly hasWorkingDirectoryFile: boolean;
}

export type LookupResult =
  /** The operator named this file. */
  | { readonly kind: 'named'; readonly path: string }
  /** Found: a snapshot by name, `config.properties` in the working directory, both, or neither. */
  | { readonly kind: 'found'; readonly snapshotName: string | undefined; readonly hasWorkingDirectoryFile: boolean };

export function lookUpConfig(input: LookupInput): LookupResult {
  const named = input.env || input.flag;
  if (named !== undefined && named !== '') return { kind: 'named', path: named };
  return {
    kind: 'found',
    snapshotName: input.usesSnapshots ? newestSnapshot(input.snapshotNames) : undefined,
    hasWorkingDirectoryFile: input.hasWorkingDirectoryFile,
  };
}

export const newestSnapshot = (names: readonly string[]): string | undefined => snapshotNames(names).at(-1);

export interface FileOwnership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
}

/**
 * Throws unless the file is ours (or root's) and nobody else can write it: whoever can write into our working directory
 * must not configure the server. A group of the same number as the user is that user's own group.
 */
export function requireTrustedFile(name: string, file: FileOwnership, ourUid: number): void {
  const isOurs = file.uid === ourUid || file.uid === 0;
  const isGroupPrivate = file.gid === file.uid;
  const isWritableByOthers = (file.mode & 0o002) !== 0 || ((file.mode & 0o020) !== 0 && !isGroupPrivate);
  if (isOurs && !isWritableByOthers) return;
  throw new Fault(
    'invalid_configuration',
    `${name} ${isOurs ? 'can be written by others' : 'belongs to another user'}, so it is not read on its own.\n` +
      `Name it with --ts-config if you trust it, or run: chmod go-w ${name}`,
  );
}
