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
