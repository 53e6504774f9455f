// A hostile model beside a well-behaved one, through the real server: whatever it does ends in a killed or throttled worker
// with a named cause, and the neighbour never gives a wrong answer.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { CAGED_LEVELS, HostileServer } from '../support/hostile-server.ts';
import { NOOP } from '../support/model-store.ts';
import { descendantsOf, isAlive, processes } from '../support/process-tree.ts';
import type { RealServer } from '../support/real-server.ts';

const MiB = 1024 ** 2;
const MEMORY = 384 * MiB;
const TMP = 16 * MiB;
const OUTPUT_RATE = 64 * 1024;
const TASKS = 64;
const RESPONSE_TIMEOUT_SEC = 3;
/** Of one test: a start, an attack that runs into the response timeout, and a slow machine. */
const TIMEOUT_MS = 60_000;

/** Frames as the worker's own code would send them, from the handler's hands. */
const SEND = `
import os, struct, json
def send(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    os.write(3, struct.pack(">II", len(text), len(body)) + text + body)
`;

/** Long enough for the server to hear the forged frame before the honest one. */
const LINGER = '\nimport time\ntime.sleep(1)\nreturn ["late"]';

for (const { level, skip } of CAGED_LEVELS) {
  describe(`a hostile model at ${level}`, { skip }, () => {
    let evil: HostileServer;
    let server: RealServer;
    let neighbour: Neighbour;

    before(async () => {
      evil = await HostileServer.start(level, {
        config: [
          'worker_memory_limit=384m',
          'worker_tmp_size=16m',
          `worker_max_tasks=${TASKS}`,
          `worker_output_rate=${OUTPUT_RATE}`,
        ],
        model: `responseTimeout: ${RESPONSE_TIMEOUT_SEC}\nlimits: {tasks: 1000000, memoryBytes: 1.0e18, tmpBytes: .inf, outputBytesPerSecond: 99999999}\n`,
        prepare: (store) => {
          store.add('leaver', 'import os\nos._exit(3)\n', { config: 'minWorkers: 1\nmaxWorkers: 1\n' });
          store.add('modest', NOOP, { config: 'limits: {openFiles: 100, tasks: 20, cpus: -1, nonsense: 7}\n' });
        },
        env: { SERVER_SECRET: 'hunter2' },
      });
      server = evil.server;
      neighbour = new Neighbour(server);
    });

    after(async () => {
      const answered = await neighbour?.stop();
      await evil?.[Symbol.asyncDispose]();
      assert.deepEqual(neighbour.wrong, []);
      assert.ok(answered > 0);
    });

    const enter = (url?: string, isSynchronous?: boolean): Promise<string> => evil.enter(url, isSynchronous);
    const leave = (name: string): Promise<void> => evil.leave(name);
    const workerOf = (name: string): Promise<Record<string, any>> => evil.workerOf(name);
    const attack = (name: string, code: string): Promise<{ status: number; text: string }> => evil.attack(name, code);

    /** Describe and log both name why the worker ended. */
    async function diesOf(code: string, cause: RegExp): Promise<void> {
      const name = await enter();
      const { status } = await attack(name, code);
      assert.ok(status >= 500, String(status));
      await evil.namesCause(name, cause);
      await leave(name);
    }

    const hostile = (sentence: string, run: () => Promise<void>): void => {
      test(sentence, { timeout: TIMEOUT_MS }, run);
    };

    hostile('that answers a batch of somebody else is ended', () =>
      diesOf(`${SEND}\nsend({"t": "done", "b": 999, "r": [{"n": 1}]}, b"x")${LINGER}`, /not in hand/),
    );
    hostile('that answers an item it was not given is ended', () =>
      diesOf(`${SEND}\nsend({"t": "item", "b": 1, "i": 5, "n": 1}, b"x")${LINGER}`, /does not exist/),
    );
    hostile('that announces a huge header is ended before anything is kept for it', () =>
      diesOf(`import os\nos.write(3, b"\\xff" * 8)${LINGER}`, /a header of 4294967295 bytes/),
    );
    hostile('that announces a huge body is ended before anything is kept for it', () =>
      diesOf(`import os, struct\nos.write(3, struct.pack(">II", 2, 0xffffffff))${LINGER}`, /4294967295 bytes/),
    );
    hostile('that sends no JSON is ended', () => diesOf(`${SEND}\nsend(b"[" * 100000)${LINGER}`, /not a JSON object/));
    hostile('that says it is loaded twice is ended', () =>
      diesOf(`${SEND}\nsend({"t": "loaded"})${LINGER}`, /a second loaded/),
    );
    hostile('that never answers is ended', () => diesOf('import time\ntime.sleep(1000)', /did not answer within/));
    hostile('that kills itself is told from one that was killed', () =>
      diesOf('import os\nos._exit(7)', /exited with status 7/),
    );

    hostile(
      'that ends whenever it starts is tried again ever more slowly, and says with which status it ended',
      async () => {
        const name = await enter('leaver', false);
        await server.until(new RegExp(`${name}[^\n]*exited with status 3`));
        await delay(1500);
        const worker = await workerOf(name);
        assert.match(String(worker['lastDeath']), /exited with status 3/);
        assert.ok(Number(worker['restarts'] ?? 0) <= 3);
        await leave(name);
      },
    );

    hostile('that floods its output is throttled, and what was lost is counted', async () => {
      const name = await enter();
      const logged = server.output().length;
      const flood = 'import os, threading\ndef flood():\n  while True:\n    os.write(1, b"flood " * 10000 + b"\\n")\n';
      const { text } = await attack(name, `${flood}threading.Thread(target=flood, daemon=True).start()\nreturn ["on"]`);
      assert.equal(text, 'on');
      const startedAt = performance.now();
      await server.until(new RegExp(`${name}[^\n]*bytes of output dropped`));
      await delay(1500);
      const dropped = Number((await workerOf(name))['droppedOutputBytes']);
      const seconds = (performance.now() - startedAt) / 1000 + 1;
      assert.ok(dropped > 0);
      // Not even read: the worker waits for its pipe instead of keeping the server busy.
      assert.ok(dropped < OUTPUT_RATE * 8 * seconds + 8 * 65_536, `${dropped} bytes in ${seconds} s`);
      assert.ok(server.output().length - logged < OUTPUT_RATE * 3 * seconds);
      await leave(name);
    });

    hostile('cannot draw on the terminal, forge the lines of others, or metrics', async () => {
      const name = await enter();
      const code = [
        'print("\\x1b[2J\\x1b]0;owned\\x07 escape-marker")',
        'print("head\\r2026-01-01T00:00:00,000 [ERROR] main forged-marker")',
        'print("[METRICS]Forged.Gauge:1|#Level:Host|#hostname:x,1700000000,id")',
        'print("[METRICS]PredictionTime.Milliseconds:99999|#ModelName:neighbour,Level:Model|#hostname:x,1700000000,id")',
        'return ["said"]',
      ].join('\n');
      assert.equal((await attack(name, code)).text, 'said');
      await server.until(/forged-marker/);
      // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
      assert.ok(!/[\u0000-\u0008\u000b-\u001f\u007f\u009b]/.test(server.output()), 'control characters in the log');
      assert.match(server.output(), new RegExp(`${name}[^\n]*forged-marker`));
      const metrics = await (await fetch(`${server.metrics}/metrics`)).text();
      assert.ok(!metrics.includes('Forged') && !metrics.includes('99999'));
      await leave(name);
    });

    hostile('that wants all memory gets an error or is ended for it, and never more than its limit', async () => {
      const name = await enter();
      const { status } = await attack(name, `hoard = [bytearray(${16 * MiB}) for _ in range(1000)]\nreturn ["got it"]`);
      assert.ok(status >= 500, String(status));
      const children = [
        'import os, time',
        'for _ in range(6):',
        '  if os.fork() == 0:',
        '    try:',
        `      hoard = bytearray(b"x") * ${150 * MiB}`,
        '      time.sleep(60)',
        '    finally:',
        '      os._exit(1)',
        'time.sleep(60)',
      ].join('\n');
      const reply = attack(name, children);
      let most = 0;
      const { pid } = await workerOf(name);
      for (let waited = 0; waited < 3000; waited += 100) {
        most = Math.max(most, residentBytes(Number(pid)));
        await delay(100);
      }
      assert.ok((await reply).status >= 500);
      assert.match(String((await workerOf(name))['lastDeath']), /more memory than its limit|did not answer/);
      assert.ok(most > 0 && most < MEMORY * 2.5, `${most} bytes`);
      await leave(name);
    });

    hostile('that forks without end runs into its limit and leaves nobody behind', async () => {
      const name = await enter();
      const bomb = 'import os\nwhile True:\n  try:\n    os.fork()\n  except OSError:\n    pass';
      const reply = attack(name, bomb);
      await delay(500);
      const { pid } = await workerOf(name);
      const family = Number(pid) > 0 ? [Number(pid), ...descendantsOf(Number(pid))] : [];
      assert.ok((await reply).status >= 500);
      assert.match(String((await workerOf(name))['lastDeath']), /did not answer|more processes|more memory/);
      await leave(name);
      await eventually('they all end', () => !family.some(isAlive));
    });

    hostile('cannot leave an orphan behind', async () => {
      const name = await enter();
      const marker = `davy-orphan-${level}-${process.pid}`;
      const orphan = `import subprocess, sys\nsubprocess.Popen(["sh", "-c", "sh -c 'sleep 300; : ${marker}' & "])\nreturn ["left"]`;
      assert.deepEqual(await attack(name, orphan), { status: 200, text: 'left' });
      await eventually('the orphan runs', () => commandLines().some((line) => line.includes(marker)));
      await leave(name);
      await eventually('the orphan ends', () => !commandLines().some((line) => line.includes(marker)));
    });

    hostile('that fills its temporary folder fills its own, and the next worker has an empty one', async () => {
      const name = await enter();
      const fill = [
        'import os, tempfile',
        'path, size = os.path.join(tempfile.gettempdir(), "fill"), 0',
        'try:',
        '  with open(path, "wb", buffering=0) as file:',
        '    for _ in range(64):',
        `      size += file.write(b"x" * ${MiB})`,
        'except OSError as error:',
        '  return [f"{size} {error.errno}"]',
        'return [f"{size} 0"]',
      ].join('\n');
      const { status, text } = await attack(name, fill);
      // A watch is late by up to a second: then the worker is ended, or has its answer out before.
      if (status === 200) assert.ok(Number(text.split(' ')[0]) <= 64 * MiB, text);
      if (level === 'strict' || process.getuid?.() === 0) assert.ok(Number(text.split(' ')[0]) <= TMP, text);
      await leave(name);
      const next = await enter();
      const look = 'import os, tempfile\nreturn [str(os.path.exists(os.path.join(tempfile.gettempdir(), "fill")))]';
      assert.deepEqual(await attack(next, look), { status: 200, text: 'False' });
      await leave(next);
    });

    hostile('cannot read the server’s keys, the models, the workers or the environment of others', async () => {
      const name = await enter();
      const { pid } = await workerOf('neighbour');
      const state = join(server.dir, 'state', 'models');
      const manifests = readdirSync(state).map((entry) => join(state, entry, 'MAR-INF', 'MANIFEST.json'));
      const other = manifests.find((path) => readFileSync(path, 'utf8').includes('neighbour'));
      const paths = [
        join(server.dir, 'key_file.json'),
        join(server.dir, 'davy.properties'),
        other!,
        join(evil.modelStore, 'neighbour', 'neighbour.py'),
        ...[server.process.pid, pid].flatMap((id) => ['environ', 'mem', 'maps'].map((file) => `/proc/${id}/${file}`)),
        ...[server.process.pid, pid].map((id) => `/proc/${id}/root/etc/hostname`),
      ];
      const own = `${state}/*`;
      const code = [
        'import json, os, glob',
        'got = {}',
        `for path in ${JSON.stringify(paths)}:`,
        '  try:',
        '    got[path] = open(path, "rb").read(64).hex()',
        '  except OSError:',
        '    pass',
        `for other in glob.glob(${JSON.stringify(own)}):`,
        '  if open(os.path.join(other, "MAR-INF", "MANIFEST.json")).read().find("evil") < 0: got[other] = "read"',
        `for target in ${JSON.stringify([server.process.pid, pid])}:`,
        '  try:',
        '    os.kill(target, 0)',
        '    got[str(target)] = "in reach"',
        '  except OSError:',
        '    pass',
        'got.update({k: v for k, v in os.environ.items() if "SECRET" in k})',
        'return [json.dumps(got)]',
      ].join('\n');
      for (const path of paths.slice(0, 4)) assert.ok(existsSync(path), path);
      // A path that is refused and a link that vanishes may both raise: what counts is that nothing was got.
      const { status, text } = await attack(name, code);
      if (status === 200) assert.deepEqual(JSON.parse(text), {});
      else assert.fail(text);
      await leave(name);
    });

    hostile('cannot reach the server’s ports, a metadata service, or anybody else', async () => {
      const metadata: Server = createServer((socket) => socket.destroy());
      let visits = 0;
      metadata.on('connection', () => (visits += 1)).listen(0, '127.0.0.254');
      await once(metadata, 'listening');
      const port = (metadata.address() as { port: number }).port;
      const name = await enter();
      const doors = [server.inference, server.management, server.metrics].map((url) => new URL(url));
      const targets = [...doors.map(({ hostname, port: at }) => [hostname, Number(at)]), ['127.0.0.254', port]];
      const code = [
        'import json, socket',
        'got = []',
        `for target in ${JSON.stringify(targets)}:`,
        '  try:',
        '    socket.create_connection(tuple(target), 1).close()',
        '    got.append(target)',
        '  except OSError:',
        '    pass',
        'return [json.dumps(got)]',
      ].join('\n');
      assert.deepEqual(await attack(name, code), { status: 200, text: '[]' });
      assert.equal(visits, 0);
      metadata.close();
      await leave(name);
    });

    hostile('may ask for lower limits, and for nothing else', async () => {
      const limitsOf = async (name: string): Promise<Record<string, number>> =>
        ((await (await server.manage('GET', `/models/${name}`)).json()) as Record<string, any>[])[0]!['isolation']
          .limits;
      const greedyName = await enter();
      const greedy = await limitsOf(greedyName);
      assert.deepEqual(
        [greedy['memoryBytes'], greedy['tasks'], greedy['tmpBytes'], greedy['outputBytesPerSecond']],
        [MEMORY, TASKS, TMP, OUTPUT_RATE],
      );
      await leave(greedyName);
      const modest = await enter('modest');
      const lower = await limitsOf(modest);
      assert.deepEqual([lower['openFiles'], lower['tasks'], lower['cpus']], [100, 20, null]);
      assert.ok(!('nonsense' in lower));
      await leave(modest);
    });
  });
}

/** Asks a well-behaved model all the time, one question at a time, and keeps every answer that was not right. */
class Neighbour {
  readonly wrong: string[] = [];
  #answered = 0;
  #isStopping = false;
  readonly #over: Promise<void>;

  constructor(server: RealServer) {
    this.#over = this.#ask(server);
  }

  async stop(): Promise<number> {
    this.#isStopping = true;
    await this.#over;
    return this.#answered;
  }

  async #ask(server: RealServer): Promise<void> {
    for (let turn = 0; !this.#isStopping; turn += 1) {
      const question = `question ${turn}`;
      try {
        const response = await server.predict('neighbour', question);
        const text = await response.text();
        if (text === [...question].toReversed().join('')) this.#answered += 1;
        else this.wrong.push(`${response.status} ${text}`);
      } catch (error) {
        this.wrong.push(String(error));
      }
      await delay(25);
    }
  }
}

/** Of the process and of all below it. */
function residentBytes(root: number): number {
  const rss = (pid: number): number => Number(/^RssAnon:\s+(\d+)/m.exec(read(pid, 'status'))?.[1] ?? 0) * 1024;
  return [root, ...descendantsOf(root)].reduce((sum, pid) => sum + rss(pid), 0);
}

const commandLines = (): string[] => processes().map((pid) => read(pid, 'cmdline'));

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
