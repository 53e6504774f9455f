// Stateful models (surface spec 2.8, 9.10, 10.8): sequences over HTTP headers.
import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { InferenceAPIsService, type PredictionResponse } from '../../src/grpc/gen/inference_pb.ts';
import { errorBody } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import { GrpcClient } from '../support/grpc-client.ts';
import type { Exchanged } from '../support/http-exchange.ts';
import { eventually } from '../support/eventually.ts';
import type { TestStore } from '../support/model-store.ts';
import { portOf } from '../support/real-server.ts';
import { ADDER, STREAMED_ADDER } from '../support/sequence-handlers.ts';
import { behaviour } from './behaviour.ts';

/** `idleMs` is as long as nothing may depend on it, or short where a test waits for it. */
const stateful = (sequences: number, idleMs = 60_000): string =>
  `sequenceBatching: true\nsequenceMaxIdleMSec: ${idleMs}\nmaxNumSequence: ${sequences}\nmaxSequenceJobQueueSize: 3\n`;
const one = 'minWorkers: 1\nmaxWorkers: 1\nmaxBatchDelay: 20\n';
const fill = (store: TestStore): void => {
  store.add('adder', ADDER, {
    config: `minWorkers: 2\nmaxWorkers: 2\nbatchSize: 2\nmaxBatchDelay: 20\n${stateful(8)}`,
  });
  store.add('single', ADDER, { config: `${one}batchSize: 1\n${stateful(2, 1500)}` });
  store.add('busy', ADDER, { config: `${one}batchSize: 1\n${stateful(2)}` });
  store.add('streamed', STREAMED_ADDER, { config: `${one}batchSize: 4\ncontinuousBatching: true\n${stateful(2)}` });
};
const options = { models: ['adder', 'single', 'busy', 'streamed'] };

describeWithServer('sequences', fill, options, (suite) => {
  const send = (model: string, id: string | undefined, body: string): Promise<Exchanged> =>
    suite.server.infer(`/predictions/${model}`, {
      method: 'POST',
      headers: id === undefined ? {} : { ts_request_sequence_id: id },
      body,
    });

  describe('by the header ts_request_sequence_id', () => {
    behaviour('13.4', 'same', 'two interleaved sequences add up apart: 1 4 9 16 25 and 2 6 12 20 30', async () => {
      await suite.server.ready('adder');
      const sums = async (id: string, numbers: readonly number[]): Promise<string[]> => {
        const seen: string[] = [];
        for (const number of numbers) seen.push((await send('adder', id, String(number))).text);
        return seen;
      };
      const [odd, even] = await Promise.all([sums('odd', [1, 3, 5, 7, 9]), sums('even', [2, 4, 6, 8, 10])]);
      assert.deepEqual(odd, ['1', '4', '9', '16', '25']);
      assert.deepEqual(even, ['2', '6', '12', '20', '30']);
    });

    behaviour('13.4', 'same', 'gRPC StreamPredictions2 adds up one sequence as well: 1 3 6', async () => {
      using client = new GrpcClient(portOf(suite.server.grpcInference));
      const { streamPredictions2 } = InferenceAPIsService.method;
      const stream = client.bidirectional(streamPredictions2);
      for (const number of ['1', '2', '3']) {
        const input = { data: Buffer.from(number) };
        stream.write(create(streamPredictions2.input, { modelName: 'adder', sequenceId: 'rpc', input }));
      }
      stream.end();
      const sums: string[] = [];
      for await (const answer of stream) sums.push(Buffer.from((answer as PredictionResponse).prediction).toString());
      assert.deepEqual(sums, ['1', '3', '6']);
    });

    behaviour('2.8', 'same', 'all requests of one sequence go to one worker', async () => {
      const pids = new Set<string>();
      for (let index = 0; index < 6; index += 1) pids.add((await send('adder', 'same', 'pid')).text);
      assert.equal(pids.size, 1);
    });

    behaviour(
      '2.8',
      'same',
      'a request without an id begins a sequence ts-seq-<uuid>, which the handler hands back',
      async () => {
        const begun = await send('adder', undefined, 'start');
        const id = String(begun.headers['ts_request_sequence_id']);
        assert.match(id, /^ts-seq-[0-9a-f-]{36}$/);
        assert.match(begun.text, /^true$/i);
        assert.equal((await send('adder', id, '5')).text, '5');
        assert.equal((await send('adder', id, '6')).text, '11');
      },
    );

    behaviour('2.8', 'same', 'the name of the header is compared exactly as written', async () => {
      const answer = await suite.server.infer('/predictions/adder', {
        method: 'POST',
        headers: { TS_REQUEST_SEQUENCE_ID: 'shouted' },
        body: 'start',
      });
      assert.match(String(answer.headers['ts_request_sequence_id']), /^ts-seq-/);
    });
  });

  describe('within their limits', () => {
    behaviour('10.8', 'same', 'one sequence more than maxNumSequence is refused with 503', async () => {
      assert.equal((await send('single', 'a', '1')).status, 200);
      assert.equal((await send('single', 'b', '1')).status, 200);
      const refused = await send('single', 'c', '1');
      assert.equal(
        refused.text,
        errorBody(
          503,
          'ServiceUnavailableException',
          'Model "single" has no worker to serve inference request. Please use scale workers API to add workers. If this is a sequence inference, please check if it is closed, or expired; or exceeds maxSequenceJobQueueSize',
        ),
      );
    });

    behaviour('10.8', 'same', 'a sequence expires after sequenceMaxIdleMSec, and its id begins a new one', async () => {
      await eventually('one of two expires', async () => (await send('single', 'c', '1')).status === 200);
      await eventually('the other expires', async () => (await send('single', 'd', '1')).status === 200);
    });

    behaviour(
      '10.8',
      'same',
      'more requests than maxSequenceJobQueueSize in one sequence are refused with 503',
      async () => {
        const statuses = await Promise.all(
          Array.from({ length: 8 }, async () => (await send('busy', 'full', 'sleep')).status),
        );
        assert.ok(statuses.includes(200));
        assert.ok(statuses.filter((status) => status === 503).length >= 3, statuses.join());
      },
    );
  });

  describe('with continuous batching', () => {
    behaviour('13.4', 'same', 'the first answer of continuous mode carries a generated sequence id', async () => {
      const first = await send('streamed', undefined, '1');
      const id = String(first.headers['ts_request_sequence_id']);
      assert.match(id, /^ts-seq-[0-9a-f-]{36}$/);
      assert.equal((await send('streamed', id, '2')).text, '3');
      assert.equal((await send('streamed', id, '3')).text, '6');
      assert.equal((await send('streamed', id, '0')).text, '6');
    });

    behaviour('2.8', 'same', 'the handler closes sequences by the header ts_request_sequence_end', async () => {
      assert.equal((await send('streamed', 'x', '1')).status, 200);
      assert.equal((await send('streamed', 'y', '1')).status, 200);
      assert.equal((await send('streamed', 'z', '1')).status, 503);
      const closed = await send('streamed', 'x', '0');
      assert.equal(closed.headers['ts_request_sequence_end'], 'x');
      assert.equal((await send('streamed', 'z', '1')).status, 200);
      for (const id of ['y', 'z']) assert.equal((await send('streamed', id, '0')).status, 200);
    });

    behaviour('2.8', 'same', 'one answer can close several sequences: their ids stand between semicolons', async () => {
      assert.equal((await send('streamed', 'p', '1')).status, 200);
      assert.equal((await send('streamed', 'q', '1')).status, 200);
      assert.equal((await send('streamed', 'r', '1')).status, 503);
      const closed = await send('streamed', 'q', '-1');
      assert.match(String(closed.headers['ts_request_sequence_end']), /(^|;)p;q(;|$)/);
      assert.equal((await send('streamed', 'r', '1')).status, 200);
      assert.equal((await send('streamed', 's', '1')).status, 200);
    });
  });
});

const NAMES = [
  'ts_header_key_sequence_id=X-Sequence',
  'ts_header_key_sequence_start=X-Start',
  'ts_header_key_sequence_end=X-End',
];

/** Shows what it is told of its sequence, by the names of the configuration. */
const NAMED = `
def handle(data, context):
    if data is None:
        return None
    answers = []
    for index in range(len(data)):
        sequence = context.get_sequence_id(index)
        context.set_response_header(index, context.header_key_sequence_id, sequence)
        answers.append(" ".join([sequence, str(context.get_request_header(index, "X-Start"))]))
    return answers
`;

describeWithServer(
  'sequences under other names',
  (store) => store.add('named', NAMED, { config: `${one}${stateful(2)}` }),
  { models: ['named'], config: NAMES },
  (suite) => {
    behaviour(
      '2.8',
      'same',
      'the names of the headers are configured by ts_header_key_sequence_id and _start',
      async () => {
        const send = (headers: Record<string, string>): Promise<Exchanged> =>
          suite.server.infer('/predictions/named', { method: 'POST', headers, body: 'x' });
        const given = await send({ 'X-Sequence': 'mine' });
        assert.deepEqual([given.text, given.headers['x-sequence']], ['mine None', 'mine']);
        const made = await send({ ts_request_sequence_id: 'ignored' });
        assert.match(made.text, /^ts-seq-[0-9a-f-]{36} true$/i);
      },
    );
  },
);
