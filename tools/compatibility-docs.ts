// Writes docs/compatibility.md from the `behaviour(…)` declarations of test/compat. `--check` only compares.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const ROOT = join(import.meta.dirname, '..');
const DOCUMENT = join(ROOT, 'docs', 'compatibility.md');
const TESTS = join(ROOT, 'test', 'compat');

interface Row {
  readonly section: string;
  readonly treatment: string;
  readonly what: string;
  readonly file: string;
}

const STRING = String.raw`(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|` + '`((?:[^`\\\\$]|\\\\.)*)`)';
const DECLARATION = new RegExp(String.raw`\bbehaviour\(\s*${STRING},\s*${STRING},\s*${STRING},`, 'g');

/** Every declaration, sorted by section and then in the order of the files. */
export function rows(): readonly Row[] {
  const files = readdirSync(TESTS)
    .filter((name) => name.endsWith('.test.ts'))
    .toSorted();
  return files
    .flatMap((file) =>
      [...readFileSync(join(TESTS, file), 'utf8').matchAll(DECLARATION)].map((match): Row => {
        const [section = '', treatment = '', what = ''] = [1, 4, 7].map((at) =>
          (match[at] ?? match[at + 1] ?? match[at + 2] ?? '').replaceAll(/\\(.)/g, '$1'),
        );
        return { section, treatment, what, file };
      }),
    )
    .toSorted((a, b) => compareSections(a.section, b.section));
}

export function document(): string {
  const all = rows();
  const count = (treatment: string): number => all.filter((row) => row.treatment === treatment).length;
  const lines = all.map(
    ({ section, treatment, what, file }) =>
      `| ${section} | ${treatment} | ${what.replaceAll('|', String.raw`\|`)} | [${file}](../test/compat/${file}) |`,
  );
  return `# Compatibility with TorchServe 0.12

Made by \`tools/compatibility-docs.ts\` from the tests in \`test/compat\`: every row is a test that runs with \`npm test\`.

**same** (${count('same')}): as TorchServe, byte for byte where a client could tell. **stricter** (${count('stricter')}): refused or
narrowed on purpose. **absent** (${count('absent')}): not carried over.

| section | status | behaviour | shown by |
| --- | --- | --- | --- |
${lines.join('\n')}
`;
}

function compareSections(a: string, b: string): number {
  const [x, y] = [a, b].map((section) => section.split('.').map(Number)) as [number[], number[]];
  for (let at = 0; at < Math.max(x.length, y.length); at += 1) {
    const difference = (x[at] ?? 0) - (y[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const text = document();
  if (process.argv.includes('--check')) {
    if (readFileSync(DOCUMENT, 'utf8') !== text) {
      process.stderr.write('docs/compatibility.md is stale: run node tools/compatibility-docs.ts\n');
      process.exitCode = 1;
    }
  } else {
    writeFileSync(DOCUMENT, text);
    process.stdout.write(`docs/compatibility.md: ${rows().length} rows\n`);
  }
}
