// What the machine tells the configuration, which has no hands of its own.

/** What the configuration needs to know of the machine. Paths absolute. */
export interface Facts {
  readonly cwd: string;
  readonly tempDir: string;
  /** Where each server of this user gets a directory of its own unless `state_dir` names one. */
  readonly stateHome: string;
  pathExists(path: string): boolean;
}
