import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Announcements, type NoticeEvent } from './announcements.ts';

test('an observer that fails is named in one notice, and costs neither the publisher nor other observers anything', () => {
  const announcements = new Announcements();
  const notices: NoticeEvent[] = [];
  const heard: unknown[] = [];
  const broken = (): never => {
    throw new TypeError('broken');
  };
  announcements.batch.subscribe(broken);
  announcements.batch.subscribe((event) => heard.push(event));
  announcements.notice.subscribe(broken);
  announcements.notice.subscribe((event) => notices.push(event));
  for (let times = 0; times < 3; times += 1)
    announcements.batch.publish({ model: 'm', version: '1.0', workerId: '9000', batchSize: 1, workerMs: 1 });
  assert.equal(heard.length, 3);
  assert.deepEqual(
    notices.map(({ level, cause }) => [level, (cause as Error).message]),
    [['error', 'broken']],
  );
});
