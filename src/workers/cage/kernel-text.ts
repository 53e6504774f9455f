// What the kernel tells in the files of /proc and of cgroups, any of which may be gone between two reads.
import { readFileSync } from 'node:fs';

/** Empty where there is no such file, or none for us. */
export function kernelText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
