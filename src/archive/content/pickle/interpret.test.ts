import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import type { FindingCode } from '../../../kernel/index.ts';
import { Refusal } from '../refusal.ts';
import { Cursor } from './cursor.ts';
import { instruction } from './instructions.ts';
import { actsLikePickle, interpretPickle } from './interpret.ts';
import { Machine } from './machine.ts';

const bytes = (...parts: (string | number[])[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))));

/** `{'a': [1, 2.5, None, True], 'b': OrderedDict(), ('t', 1): b'x'}` and friends, as Python writes them. */
const SAMPLES: Readonly<Record<string, Buffer>> = {
  'protocol 0': bytes('(dp0\nVa\np1\n(lp2\nI1\naF2.5\naNaI01\nasVb\np3\nccollections\nOrderedDict\np4\n(tRp5\ns.'),
  'protocol 2': bytes('\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88e',
    'X\x01\x00\x00\x00bq\x03ccollections\nOrderedDict\nq\x04)Rq\x05u.'),
  'protocol 4': framed('}\x94(\x8c\x01a\x94]\x94(K\x01M\x10\x27e',
    '\x8c\x01b\x94\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93)Ru.'),
}; // prettier-ignore

function framed(...parts: string[]): Buffer {
  const body = bytes(...parts);
  return bytes('\x80\x04\x95', [body.length, 0, 0, 0, 0, 0, 0, 0], body.toString('latin1'));
}

const codeOf = (stream: Uint8Array): FindingCode | 'allowed' => {
  try {
    interpretPickle(stream);
    return 'allowed';
  } catch (thrown) {
    assert.ok(thrown instanceof Refusal, String(thrown));
    return thrown.code;
  }
};

/** Offsets at which an instruction starts. */
function boundaries(stream: Buffer): number[] {
  const machine = new Machine(new Cursor(stream, 0, stream.length), { reader: 'python', storages: 'none' }, new Map());
  const offsets: number[] = [];
  while (machine.result === undefined) {
    offsets.push(machine.input.position);
    machine.instructions++;
    instruction(machine.input.opcode())?.run(machine);
  }
  return offsets;
}

describe('the pickle interpreter', () => {
  for (const [name, sample] of Object.entries(SAMPLES)) {
    test(`reads what Python writes in ${name}, to its last byte`, () => {
      const { value, end, globals } = interpretPickle(sample);
      assert.equal(value.kind, 'dict');
      assert.equal(end, sample.length);
      assert.deepEqual([...globals], ['collections.OrderedDict']);
    });

    test(`refuses a payload spliced in at any instruction of ${name}`, () => {
      const payloads = [
        bytes('cos\nsystem\n(Vid\ntR0'),
        bytes('\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R0'),
        bytes('(Vid\nios\nsystem\n0'),
        bytes('(cos\nsystem\nVid\no0'),
        bytes('\x82\x01)R0'),
        bytes('cos\nsystem\n0'),
      ];
      for (const offset of boundaries(sample)) {
        for (const payload of payloads) {
          const spliced = Buffer.concat([sample.subarray(0, offset), payload, sample.subarray(offset)]);
          assert.notEqual(codeOf(spliced), 'allowed', `${offset} ${payload.toString('latin1')}`);
        }
      }
    });

    test(`refuses every truncation of ${name}`, () => {
      for (let length = 0; length < sample.length; length++) {
        assert.notEqual(codeOf(sample.subarray(0, length)), 'allowed', String(length));
      }
    });
  }

  test('never throws anything but a refusal, whatever the bytes', () => {
    const seeds = Object.values(SAMPLES);
    const mutated = fc.tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), mutated.map(mutate)), (stream) => {
        codeOf(stream);
        actsLikePickle(stream, stream.length);
      }),
      { numRuns: 2000 },
    );
  });

  test('admits no stream that names a global outside the list', () => {
    const names = fc.stringMatching(/^[a-z_.]{1,12}$/);
    fc.assert(
      fc.property(names, names, (module, name) => {
        assert.equal(codeOf(bytes(`\x80\x02c${module}\n${name}\n.`)), 'pickle_not_allowed');
      }),
    );
  });

  test('stops before the cost of a key explodes', () => {
    assert.equal(codeOf(bytes('\x80\x02})', '2\x86'.repeat(60), 'Ns.')), 'pickle_limit');
  });

  test('reads integers of any size exactly', () => {
    const value = (stream: Buffer) => interpretPickle(stream).value;
    assert.deepEqual(value(bytes('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.')), {
      kind: 'int',
      value: 0x1950a86a20f9469cfc6cn,
    });
    assert.deepEqual(value(bytes('\x80\x02\x8a\x01\xff.')), { kind: 'int', value: -1 });
    assert.deepEqual(value(bytes('I-7\n.')), { kind: 'int', value: -7 });
  });
});

describe('a probe', () => {
  const looks = (text: string) => actsLikePickle(bytes(text), text.length);

  test('tells pickles without a magic number from lists of words', () => {
    for (const text of [
      'cat\ndog\nbird\n',
      'cos\nsystem\n',
      'in the\nend\n(it\ndoes\n',
      'import os\n',
      '{"a": 1}',
      'Paris\n',
    ]) {
      assert.equal(looks(text), false, text);
    }
  });

  test('is not put off by what the interpreter refuses', () => {
    for (const start of ['', "S'a\\n'\n0", 'I0x10\n0', '\x80\x06', 'Vx\np99999\n0', 'N(NNe0']) {
      assert.equal(looks(`${start}cos\nsystem\n(Vid\ntR.`), true, start);
    }
    assert.equal(looks('(Vid\nios\nsystem\n.'), true);
  });
});

function mutate([seed, flips]: [Buffer, [number, number][]]): Uint8Array {
  const copy = Uint8Array.from(seed);
  for (const [at, value] of flips) copy[at % copy.length] = value;
  return copy;
}
