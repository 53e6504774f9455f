import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePattern } from '../../config/index.ts';
import type { LogRecord } from './layout.ts';
import { patternLine } from './pattern-line.ts';

const at = new Date(2024, 4, 30, 21, 46, 3, 625).getTime();
const record: LogRecord = {
  stream: 'server',
  level: 'info',
  thread: 'main',
  logger: 'org.pytorch.serve.ModelServer',
  message: 'ready',
};
const line = (pattern: string, epochMs = at): string => patternLine(parsePattern(pattern))(record, epochMs);

test('fields are padded, and cut from the front unless the pattern says otherwise', () => {
  assert.equal(line('[%-6p|%6p] %c{2} %t - %m%n'), '[INFO  |  INFO] serve.ModelServer main - ready\n');
  assert.equal(line('%.3m|%.-3m|%.0m|%.9m'), 'ady|rea||ready\n');
});

test('times are local, with milliseconds wherever the format has them', () => {
  assert.equal(line('%d'), '2024-05-30 21:46:03,625\n');
  assert.equal(line("%d{SSS dd MMM yy 'at' HH''mm.SSS}"), "625 30 May 24 at 21'46.625\n");
  const render = patternLine(parsePattern('%d{ABSOLUTE}'));
  assert.deepEqual(
    [0, 5, 380, 375, 0].map((after) => render(record, at + after)),
    ['21:46:03,625\n', '21:46:03,630\n', '21:46:04,005\n', '21:46:04,000\n', '21:46:03,625\n'],
  );
});
