import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import type { Fault } from '../kernel/index.ts';
import type { DeathCause, WorkerEvents, WorkerSpec } from '../serving/index.ts';
import { WorkerChannel } from './worker-channel.ts';

/** A channel whose other end is the test: `say` is what the worker sends, `heard` what reached the lane. */
function setUp() {
  const heard: string[] = [];
  const condemned: DeathCause[] = [];
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const texts = (body: readonly Uint8Array[]): string => Buffer.concat(body).toString();
  const events: WorkerEvents = {
    onStarted: () => {},
    onOutputDropped: () => {},
    onLoaded: () => heard.push('loaded'),
    onSent: () => {},
    onPiece: (batch, index, reply) => heard.push(`piece ${batch}/${index}: ${texts(reply.body)}`),
    onDone: (batch, results) =>
      heard.push(
        `done ${batch}: ${results.map((result) => ('reply' in result ? `${result.reply.status} ${texts(result.reply.body)}` : `fault ${(result as Fault).status}`)).join(', ')}`,
      ),
    onBatchFault: (batch, fault) => heard.push(`fault ${batch}: ${fault.status} ${fault.message}`),
    onMetrics: (samples) => heard.push(`metrics ${samples.length}`),
    onExit: () => {},
  };
  const channel = new WorkerChannel(socket, {
    spec: { maxResponseBytes: 100 } as WorkerSpec,
    events,
    condemn: (cause) => condemned.push(cause),
  });
  const say = (header: object, body = ''): void => {
    const text = JSON.stringify(header);
    const prefix = Buffer.alloc(8);
    prefix.writeUInt32BE(Buffer.byteLength(text), 0);
    prefix.writeUInt32BE(Buffer.byteLength(body), 4);
    socket.emit('data', Buffer.concat([prefix, Buffer.from(text + body)]));
  };
  const run = (batch: number, items = 1): void =>
    channel.run(
      batch,
      'predict',
      Array.from({ length: items }, (_, index) => ({ requestId: String(index), headers: [], parts: [] })),
    );
  return { channel, say, run, heard, condemned };
}

describe('a worker channel', () => {
  it('deals the body of a batch out to its items', () => {
    const { say, run, heard } = setUp();
    run(7, 3);
    say({ t: 'done', b: 7, r: [{ n: 2 }, { n: 0, e: [400, 'bad'] }, { n: 3, st: [201, 'Made'] }] }, 'abcde');
    assert.deepEqual(heard, ['done 7: 200 ab, fault 400, 201 cde']);
  });

  it('ends its worker, and nothing else, where the server fails on an answer', () => {
    const { say, heard, condemned } = setUp();
    heard.push = () => {
      throw new TypeError('a bug');
    };
    say({ t: 'metric', m: [] });
    assert.deepEqual(condemned, [
      { kind: 'protocol', offence: 'an answer that the server failed on (TypeError: a bug)' },
    ]);
  });

  it('passes pieces on before the end of their batch', () => {
    const { say, run, heard } = setUp();
    run(1);
    say({ t: 'item', b: 1, i: 0, n: 1, more: true }, 'x');
    say({ t: 'done', b: 1, r: [{ n: 1 }] }, 'y');
    assert.deepEqual(heard, ['piece 1/0: x', 'done 1: 200 y']);
  });

  it('fails an answer with more headers than anybody reads, and no other of its batch', () => {
    const { say, run, heard, condemned } = setUp();
    run(1, 2);
    const headers = (count: number) => Array.from({ length: count }, (_, at) => [`x-${at}`, 'y']);
    say(
      {
        t: 'done',
        b: 1,
        r: [
          { n: 1, h: headers(257) },
          { n: 1, h: headers(256) },
        ],
      },
      'ab',
    );
    assert.deepEqual(heard, ['done 1: fault 503, 200 b']);
    assert.deepEqual(condemned, []);
  });

  it('never lets a failure look like an answer', () => {
    const { say, run, heard } = setUp();
    run(1);
    say({ t: 'fault', b: 1, code: 200, message: 'fine' });
    assert.deepEqual(heard, ['fault 1: 500 fine']);
  });

  const offences: readonly (readonly [name: string, header: object, body?: string])[] = [
    ['answers a batch that it does not hold', { t: 'done', b: 9, r: [{ n: 0 }] }],
    ['answers a part of a batch', { t: 'done', b: 1, r: [{ n: 0 }] }],
    ['answers for an item that does not exist', { t: 'item', b: 1, i: 2, n: 0 }],
    ['answers for an item before the first', { t: 'item', b: 1, i: -1, n: 0 }],
    ['announces another size than it sends', { t: 'done', b: 1, r: [{ n: 1 }, { n: 1 }] }, 'abc'],
    ['announces more than it sends', { t: 'done', b: 1, r: [{ n: 2 }, { n: 2 }] }, 'abc'],
    ['announces a negative size', { t: 'done', b: 1, r: [{ n: -1 }, { n: 4 }] }, 'abc'],
    ['sends a body with a fault', { t: 'fault', b: 1, code: 500, message: '' }, 'x'],
    ['sets an informational status', { t: 'done', b: 1, r: [{ n: 0, st: [101, ''] }, { n: 0 }] }],
    ['sets headers that are no pairs', { t: 'done', b: 1, r: [{ n: 0, h: [['a']] }, { n: 0 }] }],
    ['says something unknown', { t: 'sudo' }],
    ['floods metrics', { t: 'metric', m: Array.from({ length: 10_001 }, () => 0) }],
  ];
  for (const [name, header, body] of offences) {
    it(`condemns a worker that ${name}`, () => {
      const { say, run, heard, condemned } = setUp();
      run(1, 2);
      say(header, body);
      assert.deepEqual(
        condemned.map(({ kind }) => kind),
        ['protocol'],
      );
      say({ t: 'done', b: 1, r: [{ n: 0 }, { n: 0 }] });
      assert.deepEqual(heard, []);
    });
  }

  it('condemns a worker for one oversized answer, with its size', () => {
    const { say, run, condemned } = setUp();
    run(1);
    say({ t: 'done', b: 1, r: [{ n: 101 }] }, 'x'.repeat(101));
    assert.deepEqual(condemned, [{ kind: 'oversize_response', bytes: 101 }]);
  });

  it('keeps the reason why a model could not be loaded', () => {
    const { say, condemned } = setUp();
    say({ t: 'failed', code: 507, message: 'System out of memory' });
    assert.deepEqual(condemned, [{ kind: 'load_failed', isOutOfMemory: true, message: 'System out of memory' }]);
  });
});
