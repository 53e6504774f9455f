import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import * as fc from 'fast-check';
import { expandAbbreviations } from './abbreviations.ts';

const command = new Command()
  .option('-v, --version')
  .option('--model-store <dir>')
  .option('--models <models...>')
  .option('--ncs, --no-config-snapshots');
const expanded = (...args: string[]): readonly string[] => expandAbbreviations(command, args);

test('an unambiguous beginning of a long flag is spelled out, with its value', () => {
  assert.deepEqual(expanded('--model-st', 'x', '--model-s=a=b', '--no-con', '--he'), [
    '--model-store',
    'x',
    '--model-store=a=b',
    '--no-config-snapshots',
    '--help',
  ]);
});

test('two spellings of one option are no ambiguity', () => {
  assert.deepEqual(expanded('--n'), ['--ncs']);
});

test('exact, ambiguous and unknown flags, short ones, and what follows -- stay as they are', () => {
  const args = ['--models', '--model', '--modes', '-v', 'ver', '--=x', '--', '--ver'];
  assert.deepEqual(expanded(...args), args);
});

test('whatever comes, nothing but beginnings of flags changes, and a second pass changes nothing', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `--${text}`),
        ),
      ),
      (args) => {
        const once = expandAbbreviations(command, args);
        assert.deepEqual(expandAbbreviations(command, once), once);
        once.forEach((arg, at) => {
          const given = args[at] ?? '';
          if (arg !== given) assert.ok(given.startsWith('--') && arg.startsWith(given.split('=')[0] ?? ''));
        });
      },
    ),
  );
});
