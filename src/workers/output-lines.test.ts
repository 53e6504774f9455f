import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { OutputBudget } from './output-budget.ts';
import { readLines } from './output-lines.ts';

function worker(bytesPerSecond: number) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const drops: number[] = [];
  const budget = new OutputBudget(clock, bytesPerSecond, (bytes) => drops.push(bytes));
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  for (const stream of [stdout, stderr]) readLines(stream, budget, (line) => lines.push(line));
  const say = async (stream: PassThrough, text: string): Promise<void> => {
    stream.write(text);
    await turn();
  };
  return { clock, lines, drops, stdout, stderr, say };
}

describe('the output of a worker', () => {
  test('becomes lines, wherever it was cut on its way', async () => {
    const { lines, stdout, say } = worker(1000);
    await say(stdout, 'one\ntw');
    await say(stdout, 'o\n');
    assert.deepEqual(lines, ['one', 'two']);
  });

  test('is bounded for both streams together, and what is lost is counted once a second', async () => {
    const { clock, lines, drops, stdout, stderr, say } = worker(10);
    await say(stdout, '123456789\n');
    await say(stderr, 'lost\n');
    await say(stdout, 'lost too\n');
    assert.deepEqual([lines, drops], [['123456789'], []]);
    clock.advance(1000);
    await say(stdout, 'heard\n');
    assert.deepEqual([lines, drops], [['123456789', 'heard'], [14]]);
  });

  test('never shows the tail of a line whose middle was dropped as a line of its own', async () => {
    const { clock, lines, stdout, say } = worker(10);
    await say(stdout, 'begin');
    await say(stdout, 'x'.repeat(20));
    clock.advance(1000);
    await say(stdout, ' end\nnext\n');
    assert.deepEqual(lines, ['begin', 'next']);
  });

  test('is not read while it floods, and read again in the next second', async () => {
    const { clock, lines, drops, stdout, say } = worker(10);
    for (let at = 0; at < 9; at += 1) await say(stdout, `${'x'.repeat(9)}\n`);
    const counted = stdout.isPaused();
    clock.advance(1000);
    await turn();
    assert.deepEqual([counted, stdout.isPaused(), lines.length > 0], [true, false, true]);
    assert.ok(drops[0]! < 60, String(drops));
  });

  test('is cut where a line never ends', async () => {
    const { lines, stdout, say } = worker(1 << 20);
    await say(stdout, 'x'.repeat(20_000));
    await say(stdout, 'y\nnext\n');
    assert.deepEqual(
      lines.map((line) => line.length),
      [8192, 4],
    );
  });
});
