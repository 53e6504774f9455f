import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import * as fc from 'fast-check';
import type { QuarantinedFile } from '../inspection.ts';
import { memoryAccess } from '../random-access.ts';
import { inspectContent } from './inspect.ts';

const file = (name: string, bytes: Uint8Array): QuarantinedFile => ({
  name,
  size: bytes.length,
  open: async () => ({ ...memoryAccess(bytes), [Symbol.asyncDispose]: async () => {} }),
});

/** The codes of what is found in one file, or in the first of several. */
async function codes(name: string, bytes: Uint8Array, ...beside: QuarantinedFile[]): Promise<string[]> {
  const findings = await inspectContent([file(name, bytes), ...beside], new AbortController().signal);
  return findings.filter(({ member }) => member === name).map(({ code }) => code);
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};

function safetensors(header: string, data = 8): Buffer {
  return Buffer.concat([u64(Buffer.byteLength(header)), Buffer.from(header), Buffer.alloc(data)]);
}
const TENSOR = '"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}';

function npy(header: string, data: number): Buffer {
  const length = Buffer.from([header.length & 0xff, header.length >> 8]);
  return Buffer.concat([latin1('\x93NUMPY\x01\x00'), length, latin1(header), Buffer.alloc(data)]);
}
const shape = (descr: string, dims: string): string =>
  `{'descr': ${descr}, 'fortran_order': False, 'shape': ${dims}, }\n`;

/** A model with one node; `node` and `graph` are further fields in protobuf's own spelling. */
function onnx(node = '', graph = ''): Buffer {
  const nested = (tag: number, body: Buffer): Buffer => Buffer.concat([Buffer.from([tag, body.length]), body]);
  const inner = nested(0x0a, Buffer.concat([latin1('\x22\x08Identity'), latin1(node)]));
  return Buffer.concat([latin1('\x08\x0a'), nested(0x3a, Buffer.concat([inner, latin1(graph)]))]);
}
const text = (tag: string, value: string): string => `${tag}${String.fromCharCode(value.length)}${value}`;
const message = text;
const external = (location: string): string =>
  message('\x2a', `\x08\x01\x10\x01${message('\x6a', text('\x0a', 'location') + text('\x12', location))}\x70\x01`);

describe('safetensors', () => {
  test('are allowed when the tensors fill the file', async () => {
    assert.deepEqual(await codes('m.safetensors', safetensors(`{${TENSOR}}  `)), []);
    assert.deepEqual(await codes('m.safetensors', safetensors('{}', 0)), []);
    const proto = '"__proto__":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}';
    assert.deepEqual(await codes('m.safetensors', safetensors(`{"__metadata__":{"a":"b"},${proto}}`)), []);
  });

  test('are told from other formats whatever the length of their header is', async () => {
    for (const length of [640, 896, 1152, 1408, 35_615 + 65_536 * 8, 93, 0x5a4d]) {
      const padded = `{${TENSOR}`.padEnd(length - 1) + '}';
      assert.deepEqual(await codes('m.safetensors', safetensors(padded)), [], String(length));
    }
  });

  test('are refused with holes, overlaps, trailing bytes and double keys', async () => {
    for (const [header, data] of [
      [`{${TENSOR},${TENSOR}}`, 8],
      [`{${TENSOR}}`, 9],
      [`{${TENSOR}}`, 7],
      [`{"y":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},${TENSOR}}`, 8],
      ['{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}', 16],
      ['{"x":{"dtype":"toString","shape":[2],"data_offsets":[0,8]}}', 8],
    ] as const) {
      assert.deepEqual(await codes('m.safetensors', safetensors(header, data)), ['safetensors_malformed'], header);
    }
  });
});

describe('NumPy arrays', () => {
  test('are allowed with numbers, texts, dates and fields', async () => {
    for (const [descr, dims, bytes] of [
      ["'<f4'", '(2, 3)', 24],
      ["'<U2'", '(2,)', 16],
      ["'<M8[25s/7]'", '()', 8],
      ["[('a', '<f4'), ('b', '|S3', (2, 2)), ('c', [('d', '|b1')])]", '(2,)', 34],
      ["[(('title', 'a'), '<i2')]", '(0, 5)', 0],
    ] as const) {
      assert.deepEqual(await codes('a.npy', npy(shape(descr, dims), bytes)), [], descr);
    }
  });

  test('are refused when they hold objects, in any place', async () => {
    for (const descr of ["'|O'", "'O'", "'|O8'", "[('a', '<f4'), ('b', [('c', '|O')])]"]) {
      assert.deepEqual(await codes('a.npy', npy(shape(descr, '(1,)'), 8)), ['npy_object_array'], descr);
    }
  });

  test('are refused when the header is code or the length is wrong', async () => {
    for (const header of [shape("__import__('os')", '()'), shape("'<f4'", '(2,)'), shape("'<f4'", '(-1,)'), '{}\n']) {
      assert.deepEqual(await codes('a.npy', npy(header, 4)), ['npy_malformed'], header);
    }
  });
});

describe('ONNX models', () => {
  test('are allowed with standard operators, and data in files beside them', async () => {
    assert.deepEqual(await codes('m.onnx', onnx()), []);
    assert.deepEqual(await codes('d/m.onnx', onnx('', external('w.bin')), file('d/w.bin', new Uint8Array(4))), []);
  });

  test('are refused when data lies anywhere else', async () => {
    const beside = [file('w.bin', new Uint8Array(4)), file('d/short', new Uint8Array(3))];
    for (const location of ['../w.bin', '/w.bin', 'short', 'missing', '', './w.bin', 'a\\b', '.w.bin', '..']) {
      const found = await codes('d/m.onnx', onnx('', external(location)), ...beside);
      assert.deepEqual(found, ['onnx_external_data'], location);
    }
  });

  test('are refused with operators that somebody must supply', async () => {
    assert.deepEqual(await codes('m.onnx', onnx(text('\x3a', 'evil'))), ['onnx_custom_operator']);
  });

  test('are refused with unknown fields, wire types and lying lengths', async () => {
    for (const more of [
      '\xf8\x07\x01',
      '\x0b\x0c',
      '\x0e',
      '\x00\x00',
      '\x3a\xff\xff\xff\x07',
      `\x08${'\xff'.repeat(11)}`,
    ]) {
      assert.deepEqual(await codes('m.onnx', Buffer.concat([onnx(), latin1(more)])), ['onnx_malformed'], more);
    }
  });
});

describe('names and contents', () => {
  test('say so where only the pointer of a large file was checked out', async () => {
    const pointer = latin1('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n');
    for (const name of ['m.safetensors', 'm.bin', 'm.onnx', 'm.gguf', 'm.h5'])
      assert.deepEqual(await codes(name, pointer), ['content_mismatch'], name);
    assert.deepEqual(await codes('notes.txt', pointer), []);
  });

  test('that are compressed pickles are refused whatever they are called, and other compressed data is not', async () => {
    const pickle = latin1('\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.');
    const old = latin1('cos\nsystem\n(Vid\ntR.');
    for (const name of ['m.sav', 'm.dat', 'm', 'm.model', 'm.txt', 'm.z', 'm.pt', 'm.py', 'm.onnx', 'm.png']) {
      for (const content of [pickle, old, Buffer.concat([pickle, Buffer.alloc(300_000)])]) {
        for (const level of [1, 6, 9]) {
          const found = await codes(name, deflateSync(content, { level }));
          const isRefused = found.some((code) => code === 'compressed_content' || code.endsWith('_malformed'));
          assert.ok(isRefused, `${name}: ${found.join()}`);
        }
      }
      if (name !== 'm.onnx')
        assert.deepEqual(await codes(name, Buffer.concat([latin1('ZF0x1f               '), deflateSync(pickle)])), [
          'compressed_content',
        ]);
    }
    // Empty blocks, so that the first kilobytes, or only the first half of them, say nothing.
    for (const count of [500, 1000]) {
      const empty = Buffer.from('000000ffff'.repeat(count), 'hex');
      const stream = deflateSync(Buffer.concat([pickle, Buffer.alloc(4 << 20)])).subarray(2);
      assert.deepEqual(await codes('m.dat', Buffer.concat([Buffer.from([0x78, 0x9c]), empty, stream])), [
        'compressed_content',
      ]);
    }
    for (const content of ['blob 12\0hello world!', 'commit 3\0tree 1\nparent 2\nauthor x\n', 'tree 33\x00100644 a\0'])
      assert.deepEqual(await codes('.git/objects/ab/cdef', deflateSync(Buffer.from(content))), []);
    assert.deepEqual(await codes('notes.txt', latin1('x^2 + y^2 = z^2\n')), []);
    assert.deepEqual(await codes('m.dat', Buffer.concat([Buffer.from([0x78, 0x9c]), Buffer.alloc(100, 7)])), []);
  });

  test('of estimators, NumPy objects and compressed files are refused with the remedy that helps', async () => {
    const importing = (name: string) => latin1(`\x80\x02c${name}\n)R.`);
    for (const [name, bytes, code] of [
      ['m.joblib', importing('joblib.numpy_pickle\nNumpyArrayWrapper'), 'pickle_estimator'],
      ['m.pkl', importing('sklearn.svm._classes\nSVC'), 'pickle_estimator'],
      ['m.pkl', importing('numpy._core.multiarray\n_reconstruct'), 'pickle_numpy'],
      ['m.pt', importing('numpy\ndtype'), 'pickle_numpy'],
      ['m.pkl', importing('numpy.f2py.crackfortran\ngetlincoef'), 'pickle_not_allowed'],
      ['m.pkl', importing('torch.nn.modules.linear\nLinear'), 'pickle_not_allowed'],
      ['m.joblib', deflateSync(Buffer.alloc(100)), 'compressed_content'],
      ['m.joblib', deflateSync(Buffer.alloc(100), { level: 1 }), 'compressed_content'],
    ] as const)
      assert.deepEqual(await codes(name, bytes), [code], name);
  });

  test('are refused for what loaders know by content alone', async () => {
    for (const name of ['m.ptl', 'm.pt', 'm.dat', 'm', 'm.txt']) {
      for (const mark of ['PTMF', 'ET12', 'TFL3', 'ORTM'])
        assert.deepEqual(await codes(name, latin1(`\x18\0\0\0${mark}${'\0'.repeat(64)}`)), [
          'unsupported_model_format',
        ]);
      for (const at of [0, 512, 2048, 4096, 65_536]) {
        const before = Buffer.concat([latin1('GIF8'), Buffer.alloc(at)]).subarray(0, at);
        const inside = Buffer.concat([before, latin1('\x89HDF\r\n\x1a\n'), Buffer.alloc(64)]);
        assert.deepEqual(await codes(name, inside), ['unsupported_model_format'], String(at));
      }
    }
    assert.deepEqual(await codes('saved_model.pbtxt', latin1('meta_graphs {}')), ['unsupported_model_format']);
  });

  test('are read in time that grows with their length, backslashes included', async () => {
    const startedAt = performance.now();
    assert.deepEqual(await codes('tokenizer_config.json', latin1('\\'.repeat(300_000))), []);
    assert.ok(performance.now() - startedAt < 20_000);
  });

  test('must agree', async () => {
    for (const name of ['m.pt', 'm.onnx', 'm.txt', 'm.npy', 'm.gguf', 'm.json', 'm.png']) {
      const found = await codes(name, safetensors(`{${TENSOR}}`));
      assert.equal(found.length, 1, name);
      assert.match(found[0] as string, /content_mismatch|onnx_malformed/, name);
    }
  });

  test('show code for what it is, without judging it', async () => {
    assert.deepEqual(await codes('handler.py', latin1('import os\nos.system("id")\n')), ['python_code']);
    assert.deepEqual(await codes('requirements.txt', latin1('numpy\n')), ['python_requirements']);
  });

  test('give away programs, libraries and start-up hooks', async () => {
    for (const name of ['a.so', 'a.txt', 'a', 'a.pt']) {
      assert.deepEqual(await codes(name, latin1(`\x7fELF${'\0'.repeat(64)}`)), ['executable_content'], name);
    }
    assert.deepEqual(await codes('x/sitecustomize.py', latin1('')), ['python_startup_hook']);
    assert.deepEqual(await codes('x.pth', latin1('import evil\n')), ['python_startup_hook']);
  });
});

test('whatever the bytes and the name, an inspection ends in findings', async () => {
  const extensions = [
    'pt',
    'pkl',
    'onnx',
    'safetensors',
    'npy',
    'npz',
    'gguf',
    'bin',
    'txt',
    'dat',
    'py',
    'json',
    'h5',
    'so',
  ];
  const seeds = [
    safetensors(`{${TENSOR}}`),
    npy(shape("'<f4'", '(1,)'), 4),
    onnx('', external('w')),
    latin1('GGUF\x03\0\0\0'),
    latin1('PK\x03\x04'),
  ];
  const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 5 });
  const seeded = fc.tuple(fc.constantFrom(...seeds), flips).map(([seed, changes]) => {
    const copy = Uint8Array.from(seed);
    for (const [at, value] of changes) copy[at % copy.length] = value;
    return copy;
  });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...extensions),
      fc.oneof(fc.uint8Array({ maxLength: 64 }), seeded),
      async (extension, bytes) => {
        assert.ok(Array.isArray(await codes(`m.${extension}`, bytes)));
      },
    ),
    { numRuns: 400 },
  );
});
