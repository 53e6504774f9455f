import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UnreadAnswers, type Reader } from './unread-answers.ts';

class ScriptedReader implements Reader {
  unreadBytes: number;
  isCut = false;
  constructor(bytes: number) {
    this.unreadBytes = bytes;
  }
  cut(): void {
    this.isCut = true;
    this.unreadBytes = 0;
  }
}

test('who has read nothing for longest makes room, who reads stays', () => {
  const answers = new UnreadAnswers(100);
  const [stalled, reading, recent, newest] = [40, 40, 20, 30].map((bytes) => new ScriptedReader(bytes)) as [
    ScriptedReader,
    ScriptedReader,
    ScriptedReader,
    ScriptedReader,
  ];
  answers.count(reading);
  answers.count(stalled);
  answers.count(recent);
  reading.unreadBytes = 30;
  answers.count(newest);
  assert.deepEqual(
    [stalled, reading, recent, newest].map(({ isCut }) => isCut),
    [true, false, false, false],
  );
});

test('one that goes on filling what it does not read is cut in the end', () => {
  const answers = new UnreadAnswers(100);
  const reader = new ScriptedReader(60);
  answers.count(reader);
  reader.unreadBytes = 120;
  answers.count(reader);
  assert.equal(reader.isCut, true);
});

test('what is released is free again, once', () => {
  const answers = new UnreadAnswers(100);
  const [first, second, third] = [new ScriptedReader(90), new ScriptedReader(90), new ScriptedReader(20)];
  answers.count(first);
  answers.release(first);
  answers.release(first);
  answers.count(second);
  assert.equal(second.isCut, false);
  answers.count(third);
  assert.equal(second.isCut, true);
});
