// A worker that will not end, or lets others outlive it: whatever it does with signals, its socket and its children, it ends,
// its model can be removed, and nobody is left.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';
import { eventually } from '../support/eventually.ts';
import { isAlive, processes } from '../support/process-tree.ts';
import { OBEY } from '../support/probe-handlers.ts';
import { CAGED_LEVELS, HostileServer } from '../support/hostile-server.ts';

/** Of one test: a start, an attack that runs into a timeout, and a slow machine. */
const TIMEOUT_MS = 60_000;

for (const { level, skip } of CAGED_LEVELS) {
  describe(`a worker at ${level}`, { skip, concurrency: true }, () => {
    let hostile: HostileServer;

    before(async () => {
      hostile = await HostileServer.start(level, {
        config: ['worker_max_tasks=64'],
        model: 'responseTimeout: 3\n',
        prepare: (store) =>
          store.add('patient', OBEY, { config: 'minWorkers: 1\nmaxWorkers: 1\nresponseTimeout: 600\n' }),
      });
    });
    after(() => hostile?.[Symbol.asyncDispose]());
    afterEach(() => hostile.neighbourAnswers());

    const worker = (sentence: string, run: () => Promise<void>): void => {
      test(sentence, { timeout: TIMEOUT_MS }, run);
    };

    worker('that stops itself is ended at its deadline', async () => {
      const name = await hostile.enter();
      assert.ok((await hostile.attack(name, 'import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)')).status >= 500);
      await hostile.namesCause(name, /did not answer within 3000 ms/);
      await hostile.leave(name);
    });

    worker('that ignores signals and never leaves its exit handlers goes with its model', async () => {
      const name = await hostile.enter();
      const code = [
        'import atexit, signal, time, threading',
        'atexit.register(time.sleep, 600)',
        'threading.Thread(target=time.sleep, args=(600,)).start()',
        'for number in range(1, 65):',
        '  try: signal.signal(number, signal.SIG_IGN)',
        '  except (OSError, ValueError): pass',
        'return ["stays"]',
      ].join('\n');
      assert.equal((await hostile.attack(name, code)).text, 'stays');
      const { pid } = await hostile.workerOf(name);
      assert.ok(isAlive(Number(pid)));
      await hostile.leave(name);
      await eventually('the worker ends', () => !isAlive(Number(pid)));
    });

    worker('that closes its socket and lives on is ended, and the next one serves', async () => {
      const name = await hostile.enter('patient');
      const { pid } = await hostile.workerOf(name);
      assert.ok((await hostile.attack(name, 'import os, time\nos.close(3)\ntime.sleep(600)')).status >= 500);
      await hostile.namesCause(name, /closed its frame socket/);
      await eventually('the worker ends', () => !isAlive(Number(pid)));
      await eventually(
        'a new worker answers',
        async () => (await hostile.attack(name, 'return ["back"]')).text === 'back',
      );
      await hostile.leave(name);
    });

    worker('whose child holds its socket ends with its own cause, and the child with it', async () => {
      const name = await hostile.enter();
      const marker = `davy-${level}`;
      const code = [
        'import ctypes, os, time',
        'for _ in range(3):',
        '  if os.fork() == 0:',
        `    ctypes.CDLL(None).prctl(15, b"${marker}")`,
        '    os.dup(3)',
        '    time.sleep(600)',
        'os._exit(5)',
      ].join('\n');
      assert.ok((await hostile.attack(name, code)).status >= 500);
      await hostile.namesCause(name, /exited with status 5/);
      await eventually(
        'a new worker answers',
        async () => (await hostile.attack(name, 'return ["back"]')).text === 'back',
      );
      await eventually('its children end', () => !names().includes(marker));
      await hostile.leave(name);
    });

    worker('that kills whomever it can kills itself', async () => {
      const name = await hostile.enter();
      const { pid: other } = await hostile.workerOf('neighbour');
      const code = [
        'import os, signal',
        `for target in (${hostile.server.process.pid}, ${other}, -${hostile.server.process.pid}, -1, 1, os.getppid(), 0):`,
        '  for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):',
        '    try: os.kill(target, number)',
        '    except OSError: pass',
        'return ["still here"]',
      ].join('\n');
      const { status, text } = await hostile.attack(name, code);
      assert.ok(status >= 500 || text === 'still here', text);
      assert.ok(isAlive(Number(other)) && isAlive(hostile.server.process.pid!));
      await hostile.leave(name);
    });

    if (process.arch === 'x64') {
      worker('that calls the kernel through another ABI is killed for it, and described as what it did', async () => {
        const name = await hostile.enter();
        const code = 'import ctypes\nctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 | 39))\nreturn ["called"]';
        assert.ok((await hostile.attack(name, code)).status >= 500);
        await hostile.namesCause(name, /killed by SIGSYS: made a system call that is forbidden/);
        await hostile.leave(name);
      });
    }

    worker('hands no descriptor to the server', async () => {
      const name = await hostile.enter();
      const held = (): number => readdirSync(`/proc/${hostile.server.process.pid}/fd`).length;
      const before = held();
      const code = [
        'import json, os, socket, struct',
        'text = json.dumps({"t": "metric", "m": []}).encode()',
        'frame = struct.pack(">II", len(text), 0) + text',
        'channel = socket.socket(fileno=os.dup(3))',
        'for _ in range(20):',
        '  socket.send_fds(channel, [frame], [0] * 50)',
        'return ["sent"]',
      ].join('\n');
      assert.equal((await hostile.attack(name, code)).text, 'sent');
      assert.equal((await hostile.attack(name, 'return ["and serves"]')).text, 'and serves');
      assert.ok(held() < before + 500, `${held()} after ${before}`);
      await hostile.leave(name);
    });

    worker('that prints what workers and servers print is only quoted', async () => {
      const name = await hostile.enter();
      const code = [
        'print("[PID]1")',
        'print("Torch worker started.")',
        'print(\'{"t": "loaded"}\')',
        'print(\'{"level": "ERROR", "msg": "forged"}\')',
        'print(" " * 40000)',
        'print("said-it-all")',
        'return ["said"]',
      ].join('\n');
      const { pid } = await hostile.workerOf(name);
      assert.equal((await hostile.attack(name, code)).text, 'said');
      await hostile.server.until(new RegExp(`${name}[^\n]*said-it-all`));
      assert.doesNotMatch(hostile.server.output(), /^\s*\{"level": "ERROR", "msg": "forged"\}/m);
      const now = await hostile.workerOf(name);
      assert.deepEqual([now['pid'], now['status'], now['lastDeath']], [pid, 'READY', undefined]);
      await hostile.leave(name);
    });

    worker('puts nothing of its own into the head of an answer', async () => {
      const name = await hostile.enter();
      const code = [
        'context.set_response_header(0, "x-one", "a\\r\\nx-two: injected")',
        'context.set_response_header(0, "x-three\\r\\nx-four", "b")',
        'context.set_response_header(0, "content-length", "1")',
        'context.set_response_header(0, "transfer-encoding", "chunked")',
        'context.set_response_status(0, "no\\r\\nx-five: such", 0)',
        'return ["body"]',
      ].join('\n');
      const response = await hostile.server.predict(name, code, { 'content-type': 'text/plain' });
      await response.text();
      assert.ok(response.status >= 200);
      for (const header of ['x-two', 'x-four', 'x-five']) assert.equal(response.headers.has(header), false, header);
      const many = 'for n in range(100000): context.set_response_header(0, f"x-{n}", "y" * 10)\nreturn ["many"]';
      const flood = await hostile.server.predict(name, many, { 'content-type': 'text/plain' }).catch(() => null);
      await flood?.text();
      await hostile.leave(name);
    });
  });
}

/** Of all processes that are alive. */
function names(): string[] {
  return processes()
    .filter(isAlive)
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
      } catch {
        return '';
      }
    });
}
