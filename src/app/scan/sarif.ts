// Scan results in SARIF 2.1.0, for code scanning services.
import { FINDINGS, type FindingCode, type Severity } from '../../kernel/index.ts';
import type { ScannedFile } from './scan-paths.ts';

const LEVELS: Readonly<Record<Severity, 'note' | 'warning' | 'error'>> = {
  info: 'note',
  low: 'note',
  medium: 'warning',
  high: 'error',
  critical: 'error',
};

/** One SARIF log with one run. `isComplete`: everything that was asked for was looked at. */
export function toSarif(files: readonly ScannedFile[], isComplete: boolean): object {
  const codes = Object.keys(FINDINGS) as FindingCode[];
  const rules = codes.map((code) => ({
    id: code,
    shortDescription: { text: FINDINGS[code].meaning },
    help: { text: FINDINGS[code].remedy },
    defaultConfiguration: { level: LEVELS[FINDINGS[code].severity] },
  }));
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'davy scan', rules } },
        invocations: [{ executionSuccessful: isComplete }],
        results: files.flatMap(results),
      },
    ],
  };
}

function results({ file, findings }: ScannedFile): object[] {
  return findings.map(({ code, severity, member, offset, message }) => ({
    ruleId: code,
    level: LEVELS[severity],
    message: { text: member === '' ? message : `${member}: ${message}` },
    locations: [
      {
        physicalLocation: {
          artifactLocation: { uri: file.split('/').map(encodeURIComponent).join('/') },
          // Offsets inside an archive's member are no offsets of the archive.
          ...(offset === undefined || member !== '' ? {} : { region: { byteOffset: offset, byteLength: 1 } }),
        },
      },
    ],
  }));
}
