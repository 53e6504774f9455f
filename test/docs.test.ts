// What the documentation points at is there: files, headings, commands and their options.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { main as davy } from '../src/app/cli/main.ts';
import { main as torchserve } from '../src/app/cli/torchserve.ts';

const ROOT = join(import.meta.dirname, '..');
const PAGES = globSync(['*.md', 'docs/**/*.md', 'examples/**/*.md', 'bench/*.md'], { cwd: ROOT });

describe('the documentation', () => {
  test('links to files and headings that exist', () => {
    const broken = PAGES.flatMap((page) =>
      linksOf(page)
        .filter((link) => !leadsSomewhere(page, link))
        .map((link) => `${page}: ${link}`),
    );
    assert.deepEqual(broken, []);
  });

  test('is there where the code points at it', () => {
    const sources = globSync(['src/**/*.ts', 'bin/*', 'python/**/*.py', 'tools/*.{js,ts}'], { cwd: ROOT });
    const named = sources.flatMap((source) =>
      [...read(source).matchAll(/\bdocs\/[\w/-]+\.md\b/g)].map(([path]) => path),
    );
    assert.ok(named.length > 0);
    assert.deepEqual(
      [...new Set(named)].filter((path) => !existsSync(join(ROOT, path))),
      [],
    );
  });

  test('names commands and options that exist', async () => {
    const wrong: string[] = [];
    for (const { page, words } of PAGES.flatMap(commandsOf)) {
      const help = await helpFor(words);
      const unknown = words
        .filter((word) => word.startsWith('--'))
        .filter((word) => !help.includes(word.split('=')[0]!));
      if (help === '' || unknown.length > 0) wrong.push(`${page}: ${words.join(' ')} (${unknown.join(', ')})`);
    }
    assert.deepEqual(wrong, []);
  });
});

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

function linksOf(page: string): string[] {
  const prose = read(page).replace(/```[\s\S]*?```/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!).filter((link) => !/^[a-z]+:/.test(link));
}

function leadsSomewhere(page: string, link: string): boolean {
  const [path = '', heading] = link.split('#');
  const target = path === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), path);
  if (!existsSync(target)) return false;
  return heading === undefined || !target.endsWith('.md') || headingsOf(relative(ROOT, target)).includes(heading);
}

/** As GitHub makes them. */
function headingsOf(page: string): string[] {
  const titles = [...read(page).matchAll(/^#+ (.*)$/gm)].map((match) => match[1]!.toLowerCase());
  return titles.map((title) => title.replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'));
}

/** Every `davy …` and `torchserve …` in a block of shell, cut at the first operator of the shell. */
function commandsOf(page: string): { page: string; words: string[] }[] {
  const blocks = [...read(page).matchAll(/^```(?:sh|bash|console)\n([\s\S]*?)^```/gm)].map((match) => match[1]!);
  return blocks
    .flatMap((block) => block.replace(/\\\n\s*/g, ' ').split('\n'))
    .flatMap((line) => [...line.matchAll(/(?:^|\$\(|&& |\| |\$ )(?:npx |bin\/)?((?:davy|torchserve) [^|;&#)>]*)/g)])
    .map((match) => ({ page, words: match[1]!.trim().split(/\s+/) }));
}

const helps = new Map<string, Promise<string>>();

/** The help of the command that the words name; empty where there is none. */
async function helpFor([program, ...words]: readonly string[]): Promise<string> {
  const names = words.slice(
    0,
    Math.max(
      0,
      words.findIndex((word) => !/^[a-z][a-z-]*$/.test(word)),
    ) || words.length,
  );
  if (program === 'torchserve') return helpOf(torchserve, []);
  const [command = '', sub = ''] = names;
  // To a command that it does not know it answers with its own help.
  if (command !== '' && (await helpOf(davy, [command])) === (await helpOf(davy, []))) return '';
  const inner = await helpOf(davy, [command, sub]);
  return inner === '' ? helpOf(davy, [command]) : inner;
}

function helpOf(run: typeof davy, names: readonly string[]): Promise<string> {
  const key = `${run === torchserve ? 'torchserve' : 'davy'} ${names.join(' ')}`;
  const known = helps.get(key) ?? say(run, [...names.filter((name) => name !== ''), '--help']);
  helps.set(key, known);
  return known;
}

async function say(run: typeof davy, args: readonly string[]): Promise<string> {
  let said = '';
  const output = { write: (chunk: string | Uint8Array) => void (said += String(chunk)) };
  const ignored = { write: () => undefined };
  const status = await run(args, { stdin: Readable.from([]), stdout: output, stderr: ignored, env: {}, cwd: ROOT });
  return status === 0 ? said : '';
}
