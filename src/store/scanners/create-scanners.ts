// From the configuration to scanners.
import type { ScannerSettings } from '../../config/index.ts';
import { createClamd } from './clamd.ts';
import { createExecutableScanner } from './executable.ts';
import { createHttpScanner } from './http.ts';
import { createScannerPanel, type ScannerPanel } from './panel.ts';
import type { Scanner } from './scanner.ts';
import { createVirusTotal } from './virustotal.ts';

export function createScanners(settings: readonly ScannerSettings[]): ScannerPanel {
  return createScannerPanel(settings.map((member) => ({ ...member, scanner: scannerOf(member) })));
}

export interface Greeting {
  readonly name: string;
  readonly isRequired: boolean;
  /** Null for a scanner that gave no sign of life. */
  readonly says: string | null;
  /** Why it gave none. */
  readonly why?: string;
}

/** Long enough for a daemon that loads its signatures anew; a start waits no longer for one that hangs. */
const GREETING_MS = 5000;

/** Asks every scanner for a sign of life, all at once. Never rejects. */
export async function greetScanners(settings: readonly ScannerSettings[]): Promise<readonly Greeting[]> {
  return await Promise.all(
    settings.map(async (member) => {
      const { name, isRequired } = member;
      const signal = AbortSignal.timeout(GREETING_MS);
      try {
        return { name, isRequired, says: await scannerOf(member).greet(signal) };
      } catch (thrown) {
        const { code, message } = thrown as NodeJS.ErrnoException;
        return { name, isRequired, says: null, why: signal.aborted ? 'no answer' : (code ?? message) };
      }
    }),
  );
}

function scannerOf(settings: ScannerSettings): Scanner {
  switch (settings.kind) {
    case 'clamd':
      return createClamd(settings);
    case 'virustotal':
      return createVirusTotal({ ...settings, endpoint: new URL(settings.endpoint) });
    case 'executable':
      return createExecutableScanner(settings);
    case 'http':
      return createHttpScanner({ ...settings, url: new URL(settings.url) });
  }
}
