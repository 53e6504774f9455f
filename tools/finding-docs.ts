// Writes the table of finding codes into docs/admission.md: node tools/finding-docs.ts
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FINDINGS, type FindingCode } from '../src/kernel/index.ts';
import { isDenied, RELAXABLE } from '../src/policy/index.ts';

const DOCUMENT = join(import.meta.dirname, '../docs/admission.md');
const BEGIN = '<!-- findings: written by tools/finding-docs.ts -->';
const END = '<!-- end of findings -->';

/** The document with its table of findings as the catalogue has them now. */
export function withFindings(document: string): string {
  const [before, rest] = document.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`docs/admission.md lacks ${BEGIN} or ${END}`);
  return `${before}${BEGIN}\n${table()}${END}${after}`;
}

function table(): string {
  const rows = (Object.keys(FINDINGS) as FindingCode[]).map((code) => {
    const { severity, meaning, remedy } = FINDINGS[code];
    const verdict = isDenied(code) ? (RELAXABLE.has(code) ? 'deny (relaxable)' : 'deny') : 'allow';
    return `| \`${code}\` | ${severity} | ${verdict} | ${meaning} | ${remedy} |\n`;
  });
  return `| code | severity | by default | what it means | what to do |\n| --- | --- | --- | --- | --- |\n${rows.join('')}`;
}

if (import.meta.main) writeFileSync(DOCUMENT, withFindings(readFileSync(DOCUMENT, 'utf8')));
