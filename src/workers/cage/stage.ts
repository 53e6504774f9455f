// The trusted Python stage that restricts itself and then becomes a worker: how it is started, and what it needs to see.
import { compileFilter, type SeccompProgram } from './seccomp.ts';
import type { Architecture, FilterProfile } from '../../policy/index.ts';
import { programPrefixes } from './interpreter.ts';
import { cageScript } from './places.ts';
import { narrowPrefix } from './python-home.ts';
import { outermost, type Wanted } from './wanted-paths.ts';

/** Where the system's programs and libraries lie. */
export const SYSTEM_FOLDERS: readonly string[] = ['/usr', '/lib', '/lib32', '/lib64', '/bin'];

/** Reads what to do from descriptor `fd`. Without `site`, so that it starts in milliseconds. */
export function stageCommand(python: string, fd: number): readonly string[] {
  return [python, '-I', '-S', '-B', cageScript(), String(fd)];
}

/** The interpreter and its script; outside /usr its libraries, too. */
export function stagePaths(python: string): readonly string[] {
  return [python, cageScript(), ...outermost(programPrefixes(python).flatMap(narrowPrefix))];
}

/** What a worker sees when the stage starts it. */
export function withStage(wanted: Wanted, python: string): Wanted {
  const paths = stagePaths(python);
  return {
    program: wanted.program,
    paths: outermost([...wanted.paths, ...paths]),
    insideUsr: [...wanted.insideUsr, ...paths.filter((path) => path.startsWith('/usr/'))],
  };
}

/** A filter as `cage.apply` takes it. */
export function stageFilter(
  profile: FilterProfile,
  architecture: Architecture,
): { readonly program: string; readonly selfSlots: readonly number[] } {
  const { bytes, selfSlots }: SeccompProgram = compileFilter(profile, architecture);
  return { program: Buffer.from(bytes).toString('base64'), selfSlots };
}
