// Every limit of a worker, at both levels, through the real server: it holds, and who reads describe or the log learns which.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { OBEY } from '../support/probe-handlers.ts';
import { CAGED_LEVELS, HostileServer } from '../support/hostile-server.ts';

const MiB = 1024 ** 2;
const FILE = MiB;
const OPEN_FILES = 96;
const TASKS = 48;
/** Of one test: a start, an attack that runs into a timeout, and a slow machine. */
const TIMEOUT_MS = 60_000;

const SLOW_START = 'import time\ntime.sleep(600)\ndef handle(data, context):\n    return None\n';
const NODE = `
import { openSync, writeSync } from 'node:fs';
export function handle(rows) {
  const fd = openSync(process.env.TMPDIR + '/large', 'w');
  for (let written = 0; written < ${4 * FILE}; ) written += writeSync(fd, Buffer.alloc(65536));
  return rows.map(() => 'wrote it');
}
`;

for (const { level, skip } of CAGED_LEVELS) {
  describe(`a limit at ${level}`, { skip, concurrency: true }, () => {
    let hostile: HostileServer;

    before(async () => {
      hostile = await HostileServer.start(level, {
        config: [
          'worker_memory_limit=384m',
          'worker_tmp_size=16m',
          `worker_max_tasks=${TASKS}`,
          `worker_max_file_size=${FILE}`,
          `worker_max_open_files=${OPEN_FILES}`,
          'max_response_size=100000',
        ],
        model: 'responseTimeout: 5\n',
        prepare: (store) => {
          store.add('slow', SLOW_START, { config: 'minWorkers: 1\nmaxWorkers: 1\nstartupTimeout: 2\n' });
          store.add('frugal', OBEY, { config: 'minWorkers: 1\nmaxWorkers: 1\nlimits: {cpus: 0.25}\n' });
          store.add('large', '', {
            files: { 'large.mjs': NODE },
            model: { handler: 'large.mjs' },
            manifest: { runtime: 'node' },
          });
        },
      });
    });
    after(() => hostile?.[Symbol.asyncDispose]());
    afterEach(() => hostile.neighbourAnswers());

    const limit = (sentence: string, run: () => Promise<void>): void => {
      test(sentence, { timeout: TIMEOUT_MS }, run);
    };

    /** The handler gets an error of the system, which it may handle; its text is in the log where it does not. */
    async function errs(code: string, error: RegExp): Promise<number> {
      const name = await hostile.enter();
      const counted = await hostile.attack(
        name,
        `${code}\nexcept OSError as error:\n  return [f"{count} {error.errno}"]`,
      );
      const [count, errno] = counted.text.split(' ').map(Number);
      assert.ok(errno! > 0, counted.text);
      assert.ok((await hostile.attack(name, `${code}\nexcept KeyError:\n  pass`)).status >= 500);
      await hostile.server.until(new RegExp(`${name}[^\n]*${error.source}`));
      await hostile.leave(name);
      return count!;
    }

    limit('of the size of a file is an error of the handler that writes it', async () => {
      const code = [
        'import os, tempfile',
        'count = 0',
        'try:',
        '  with open(os.path.join(tempfile.gettempdir(), "large"), "wb", buffering=0) as file:',
        '    while count < 1 << 24: count += file.write(b"x" * 65536)',
      ].join('\n');
      assert.equal(await errs(code, /File too large/), FILE);
    });

    limit('of the size of a file is an error, or a named end, in Node', async () => {
      const name = await hostile.enter('large');
      const response = await hostile.server.predict(name, 'x');
      assert.ok(response.status >= 500, await response.text());
      await hostile.server.until(new RegExp(`${name}[^\n]*(EFBIG|wrote a larger file than its limit)`));
      await hostile.leave(name);
    });

    limit('of open files is an error of the handler that opens them', async () => {
      const code =
        'import os\ncount, held = 0, []\ntry:\n  while count < 10000:\n    held.append(open(os.devnull))\n    count += 1';
      assert.ok((await errs(code, /Too many open files/)) < OPEN_FILES);
    });

    limit('of tasks is an error of the handler that starts them, or its named end', async () => {
      const name = await hostile.enter();
      const code = [
        'import threading',
        'stop, count = threading.Event(), 0',
        'try:',
        '  while count < 1000:',
        '    threading.Thread(target=stop.wait, daemon=True).start()',
        '    count += 1',
        'except RuntimeError:',
        '  return [f"{count} threads"]',
        'finally:',
        '  stop.wait(3)',
        '  stop.set()',
        'return ["all"]',
      ].join('\n');
      const { status, text } = await hostile.attack(name, code);
      if (status === 200) assert.ok(Number.parseInt(text, 10) < TASKS, text);
      else await hostile.namesCause(name, /more processes and threads than its limit|did not answer/);
      await hostile.leave(name);
    });

    limit('of temporary files is an error of the handler, or its named end', async () => {
      const name = await hostile.enter();
      const code = [
        'import os, tempfile, time',
        'count = 0',
        'try:',
        '  for number in range(64):',
        '    with open(os.path.join(tempfile.gettempdir(), str(number)), "wb", buffering=0) as file:',
        `      count += file.write(b"x" * ${FILE})`,
        'except OSError as error:',
        '  return [f"{count} {error.errno}"]',
        'time.sleep(600)',
      ].join('\n');
      const { status, text } = await hostile.attack(name, code);
      if (status === 200) assert.ok(Number.parseInt(text, 10) <= 16 * MiB, text);
      else await hostile.namesCause(name, /more temporary files than its limit/);
      await hostile.leave(name);
    });

    limit('of CPU share holds a model to what it asked for, where a control group can', async () => {
      const told = (await (await hostile.server.manage('GET', '/isolation')).json()) as Record<string, any>;
      const name = await hostile.enter('frugal');
      const code = [
        'import os, time',
        'for _ in range(3):',
        '  if os.fork() == 0:',
        '    start = time.monotonic()',
        '    while time.monotonic() - start < 2: pass',
        '    os._exit(0)',
        'start = time.monotonic()',
        'for _ in range(3): os.wait()',
        'used = os.times()',
        'return [str((used.children_user + used.children_system) / (time.monotonic() - start))]',
      ].join('\n');
      const { status, text } = await hostile.attack(name, code);
      assert.equal(status, 200, text);
      // A quarter of a core, and what a period more or less makes of it.
      if (String(told['limits'].cpu).startsWith('cgroup')) assert.ok(Number(text) < 0.5, text);
      await hostile.leave(name);
    });

    limit('of the time to start ends a worker that does not load', async () => {
      const name = await hostile.enter('slow', false);
      await hostile.namesCause(name, /did not load the model within 2000 ms/);
      await hostile.leave(name);
    });

    limit('of the time to answer ends a worker that computes for ever', async () => {
      const name = await hostile.enter();
      assert.ok((await hostile.attack(name, 'while True:\n  pass')).status >= 500);
      await hostile.namesCause(name, /did not answer within 5000 ms/);
      await hostile.leave(name);
    });

    limit('of the size of an answer ends a worker that sends more, before it is kept', async () => {
      const name = await hostile.enter();
      const code = [
        'import os, struct, time',
        'os.write(3, struct.pack(">II", 2, 50000000) + b"{}")',
        'time.sleep(600)',
      ].join('\n');
      assert.ok((await hostile.attack(name, code)).status >= 500);
      await hostile.namesCause(name, /sent a response of 50000000 bytes, more than max_response_size/);
      await hostile.leave(name);
    });
  });
}
