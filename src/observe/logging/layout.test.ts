import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bareLine, fullLine, isoTimes, type LogRecord } from './layout.ts';

const at = new Date(2024, 4, 30, 21, 46, 3, 625).getTime();
const record: LogRecord = {
  stream: 'access',
  level: 'info',
  thread: 'epollEventLoopGroup-3-2',
  logger: 'ACCESS_LOG',
  message: '/127.0.0.1:53514 "POST /models HTTP/1.1" 405 0',
};

test("times are local, with log4j's comma before the milliseconds", () => {
  const format = isoTimes();
  assert.equal(format(at), '2024-05-30T21:46:03,625');
  assert.equal(format(at + 380), '2024-05-30T21:46:04,005');
});

test("the console line is TorchServe's", () => {
  assert.equal(
    fullLine(isoTimes()(at), record),
    '2024-05-30T21:46:03,625 [INFO ] epollEventLoopGroup-3-2 ACCESS_LOG - /127.0.0.1:53514 "POST /models HTTP/1.1" 405 0\n',
  );
});

test('the access log line has no level and no thread', () => {
  assert.equal(
    bareLine(isoTimes()(at), record),
    '2024-05-30T21:46:03,625 - /127.0.0.1:53514 "POST /models HTTP/1.1" 405 0\n',
  );
});
