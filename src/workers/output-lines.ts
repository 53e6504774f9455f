// A worker's stdout and stderr, cut into lines for the log. A line that never ends is cut; a flood is dropped and counted.
import type { Readable } from 'node:stream';
import type { OutputBudget } from './output-budget.ts';

/** Longer lines are cut: nobody reads them, and they would fill memory. */
const MAX_LINE_CHARS = 8 * 1024;

/** Calls `onLine` for every line that the budget allows, and for a line's beginning where its end was dropped. */
export function readLines(stream: Readable, budget: OutputBudget, onLine: (line: string) => void): void {
  let rest = '';
  /** Within a line whose beginning was logged or dropped: what follows is no line of its own. */
  let isSkipping = false;

  const say = (line: string): void => onLine(line.slice(0, MAX_LINE_CHARS));

  budget.govern(stream);
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    if (!budget.take(Buffer.byteLength(text))) {
      if (rest !== '') say(rest);
      rest = '';
      isSkipping = !text.endsWith('\n');
      return;
    }
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of isSkipping ? lines.slice(1) : lines) say(line);
    if (lines.length > 0) isSkipping = false;
    if (isSkipping) rest = '';
    if (rest.length > MAX_LINE_CHARS) {
      say(rest);
      rest = '';
      isSkipping = true;
    }
  });
  stream.on('end', () => {
    if (rest !== '') say(rest);
    budget.settle();
  });
  // The process's exit says what happened.
  stream.on('error', () => {});
}
