import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clockAt } from '../../../test/support/manual-clock.ts';
import { LineWriter, type LineTarget } from './line-writer.ts';

class MemoryTarget implements LineTarget {
  text = '';
  writes = 0;
  isBroken = false;
  held: Promise<void> | undefined;
  async write(bytes: Buffer): Promise<void> {
    await this.held;
    if (this.isBroken) throw new Error('no space left');
    this.writes++;
    this.text += bytes.toString();
  }
  writeSync(bytes: Buffer): void {
    this.text += bytes.toString();
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

const writerTo = (target: LineTarget): { writer: LineWriter; clock: ReturnType<typeof clockAt> } => {
  const clock = clockAt(0);
  return { writer: new LineWriter(target, clock, (lines) => `lost ${lines}\n`), clock };
};

test('lines that come together are written together, a moment later', async () => {
  const target = new MemoryTarget();
  const { writer, clock } = writerTo(target);
  writer.write('a\n');
  writer.write('b\n');
  assert.equal(target.writes, 0);
  clock.advance(50);
  await writer.flush();
  assert.deepEqual([target.text, target.writes], ['a\nb\n', 1]);
});

test('a stalled target costs lines and not memory, and the loss is told', async () => {
  const target = new MemoryTarget();
  const { promise, resolve } = Promise.withResolvers<void>();
  target.held = promise;
  const { writer } = writerTo(target);
  const megabyte = `${'x'.repeat(1024 * 1024 - 1)}\n`;
  for (let line = 0; line < 12; line++) writer.write(megabyte);
  assert.equal(writer.droppedLines, 3);
  resolve();
  await writer.flush();
  assert.ok(target.text.endsWith('\nlost 3\n'));
});

test('a failing target loses lines without an error, and tells once it works again', async () => {
  const target = new MemoryTarget();
  const { writer } = writerTo(target);
  target.isBroken = true;
  writer.write('a\n');
  await writer.flush();
  writer.write('b\n');
  await writer.flush();
  target.isBroken = false;
  writer.write('c\n');
  await writer.flush();
  assert.equal(target.text, 'c\nlost 2\n');
});

test('the last words of a process are written at once', () => {
  const target = new MemoryTarget();
  const { writer } = writerTo(target);
  writer.write('a\n');
  writer.flushSync();
  assert.equal(target.text, 'a\n');
});
