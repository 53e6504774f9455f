import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { parseForm } from './form.ts';
import { HandlerHeaders, inputOf } from './input.ts';
import { parseMultipart } from './multipart.ts';

const BOUNDARY = 'xYz';
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

describe('a multipart form', () => {
  test('tells files from fields by their file name', () => {
    const body = [
      `--${BOUNDARY}`,
      'Content-Disposition: form-data; name="field"',
      'Content-Type: text/plain',
      '',
      'a value',
      `--${BOUNDARY}`,
      'content-disposition: form-data; filename="k;\\"x.jpg"; name="data"',
      'Content-Type: image/jpeg; q=1',
      '',
      'JPEG',
      `--${BOUNDARY}`,
      "Content-Disposition: form-data; name=bare; filename*=UTF-8''a",
      '',
      '',
      `--${BOUNDARY}--`,
      'epilogue',
    ].join('\r\n');
    assert.deepEqual(shown(parseMultipart(TYPE, Buffer.from(body))), [
      ['field', undefined, 'a value'],
      ['data', 'image/jpeg', 'JPEG'],
      ['bare', 'application/octet-stream', ''],
    ]);
  });

  test('gives back any bytes under any names', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((text) => !/[\r\n\0]/.test(text));
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ unit: fc.constantFrom('\r', '\n', '-', 'x', 'Y', 'z', ':') }).map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, content, fc.boolean()), { maxLength: 5 }),
        fc.boolean(),
        (parts, isPadded) => {
          fc.pre(parts.every(([, bytes]) => !Buffer.from(bytes).includes(`--${BOUNDARY}`)));
          const found = parseMultipart(TYPE, encode(parts, isPadded));
          assert.deepEqual(
            found.map((part) => [part.name, Buffer.from(part.content).toString('hex'), part.contentType]),
            parts.map(([known, bytes, isFile]) => [
              known,
              Buffer.from(bytes).toString('hex'),
              isFile ? 'image/png' : undefined,
            ]),
          );
        },
      ),
    );
  });

  test('that was tampered with is a form or a bad request, never anything else', () => {
    const good = encode([['a', Buffer.from('1'), true] as const, ['b', Buffer.from('2'), false] as const], true);
    fc.assert(
      fc.property(fc.nat(good.length), fc.nat(good.length), fc.uint8Array({ maxLength: 4 }), (from, length, insert) => {
        const bytes = Buffer.concat([good.subarray(0, from), insert, good.subarray(from + length)]);
        assert.doesNotThrow(() => orBadRequest(() => parseMultipart(TYPE, bytes)));
      }),
    );
  });

  test('is refused without a boundary, an end, a name, or with too many parts', () => {
    const part = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n`;
    const cases: [string, string][] = [
      ['multipart/form-data', `${part}--${BOUNDARY}--`],
      ['multipart/form-data; boundary=', `${part}--${BOUNDARY}--`],
      [`multipart/form-data; boundary=${'b'.repeat(71)}`, ''],
      [TYPE, part],
      [TYPE, ''],
      [TYPE, `--${BOUNDARY}\r\n\r\n1\r\n--${BOUNDARY}--`],
      [TYPE, `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${'a'.repeat(9000)}"\r\n\r\n1\r\n--${BOUNDARY}--`],
      [TYPE, `${part.repeat(1025)}--${BOUNDARY}--`],
    ];
    for (const [type, body] of cases) assert.throws(() => parseMultipart(type, Buffer.from(body)), isBadRequest);
  });

  test('of a megabyte of almost-boundaries is refused, not searched forever', () => {
    const body = Buffer.from(`--${BOUNDARY}\r\nA: ${'\r\n--xY'.repeat(200_000)}`);
    assert.throws(() => parseMultipart(TYPE, body), isBadRequest);
  });
});

describe('an urlencoded form', () => {
  test('gives back all 256 byte values', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
        const [field] = parseForm(Buffer.from(`data=${text}`));
        assert.deepEqual(Buffer.from(field?.content ?? []), Buffer.from(bytes));
      }),
    );
  });

  test('agrees with the URL standard on text', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ minLength: 1 }), fc.string())), (pairs) => {
        const body = Buffer.from(new URLSearchParams(pairs).toString());
        assert.deepEqual(
          parseForm(body).map(({ name, content }) => [name, Buffer.from(content).toString()]),
          pairs,
        );
      }),
    );
  });

  test('makes a key of JSON that was sent without a content type', () => {
    assert.deepEqual(shown(parseForm(Buffer.from('{"a":1}'))), [['{"a":1}', undefined, '']]);
  });

  test('is refused with a broken percent sequence or too many fields', () => {
    for (const text of ['a=%', 'a=%4', 'a=%zz', 'a&'.repeat(1025), '&'.repeat(1025)]) {
      assert.throws(() => parseForm(Buffer.from(text)), isBadRequest, text.slice(0, 10));
    }
  });
});

describe('the input of a handler', () => {
  test('is one value called body for every other media type', () => {
    const chunks = [Buffer.from('{"a"'), Buffer.from(':1}')];
    const [part] = inputOf('application/json; charset=utf-8', { chunks, bytes: 7 });
    assert.deepEqual(part, { name: 'body', contentType: 'application/json', chunks, bytes: 7 });
    assert.equal(part?.chunks, chunks);
    assert.deepEqual(inputOf(undefined, { chunks: [], bytes: 0 }), [
      { name: 'body', contentType: undefined, chunks: [], bytes: 0 },
    ]);
  });

  test('never holds headers that choose the operation, in any spelling, nor the key', () => {
    const raw = ['Describe', 'True', 'EXPLAIN', 'True', 'url_path', 'x', 'TS_start', '1', 'Authorization', 'Bearer k'];
    const headers = new HandlerHeaders('ts_START', true).from([...raw, 'X-Mine', 'a', 'x-mine', 'b']);
    assert.deepEqual(headers, [
      ['X-Mine', 'a'],
      ['x-mine', 'b'],
    ]);
    assert.equal(new HandlerHeaders('s', false).from(['Authorization', 'Basic x']).length, 1);
  });
});

type Piece = readonly [name: string, content: Uint8Array, isFile: boolean];

function encode(parts: readonly Piece[], isPadded: boolean): Buffer {
  const quote = (name: string): string => name.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
  const pieces: Uint8Array[] = isPadded ? [Buffer.from('preamble\r\n')] : [];
  for (const [name, content, isFile] of parts) {
    const file = isFile ? '; filename="f"\r\nContent-Type: image/png; a=b' : '';
    pieces.push(Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${quote(name)}"${file}\r\n\r\n`));
    pieces.push(content, Buffer.from('\r\n'));
  }
  pieces.push(Buffer.from(`--${BOUNDARY}--\r\n`));
  return Buffer.concat(pieces);
}

const shown = (parts: readonly { name: string; contentType: string | undefined; content: Uint8Array }[]) =>
  parts.map((part) => [part.name, part.contentType, Buffer.from(part.content).toString()]);

function orBadRequest(work: () => unknown): void {
  try {
    work();
  } catch (thrown) {
    if (!isBadRequest(thrown)) throw thrown;
  }
}

function isBadRequest(thrown: unknown): boolean {
  return thrown instanceof Fault && thrown.code === 'bad_request';
}
