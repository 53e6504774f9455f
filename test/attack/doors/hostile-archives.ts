// The MAR and PKL rows: archives that must be refused, each with the reason why. Built at test time; no payload is ever run.
import { deflateRawSync } from 'node:zlib';
import { buildTarGz, buildZip, overlappingBomb, SYMLINK, type ZipPart, type ZipShape } from '../archives.ts';

/** Where every payload would leave its mark, were it run. */
export interface Canary {
  readonly path: string;
  readonly port: number;
}

export interface HostileArchive {
  /** The row of the catalogue, and its variant. */
  readonly row: string;
  /** Below the model store. */
  readonly file: string;
  readonly bytes: Buffer;
}

const MANIFEST = 'MAR-INF/MANIFEST.json';
const HANDLER = 'def handle(data, context):\n    return ["OK"] * len(data or [])\n';

const manifest = (model: object = {}, rest: object = {}): ZipPart => ({
  name: MANIFEST,
  data: JSON.stringify({ runtime: 'python', model: { modelName: 'evil', handler: 'h.py', ...model }, ...rest }),
});
const GOOD: readonly ZipPart[] = [manifest(), { name: 'h.py', data: HANDLER }];

export function hostileArchives(canary: Canary): readonly HostileArchive[] {
  const code = `__import__('os').system('touch ${canary.path}; curl -s 127.0.0.1:${canary.port}')`;
  const archives: HostileArchive[] = [];
  const add = (row: string, bytes: Buffer, ending = 'mar'): void => {
    archives.push({ row, file: `${row.replaceAll(/[^\w.-]/g, '_')}.${ending}`, bytes });
  };
  const zip = (row: string, parts: readonly ZipPart[], shape?: ZipShape): void => add(row, buildZip(parts, shape));
  const member = (row: string, name: string | Buffer, rest: Partial<ZipPart> = {}): void =>
    zip(row, [...GOOD, { name, data: code, ...rest }]);
  const model = (row: string, name: string, data: Buffer): void =>
    zip(row, [manifest({ serializedFile: name }), { name: 'h.py', data: HANDLER }, { name, data, method: 0 }]);

  // MAR-01, 02: names that lead out.
  for (const [i, name] of [
    '../../evil',
    '..\\..\\evil',
    '/abs/evil',
    'C:\\evil',
    'a/../../evil',
    './../x',
    '..',
    './x',
    'a//b',
    '//h/x',
    'C:x',
    'h.py/x',
  ].entries())
    member(`MAR-01 name ${i}`, name);
  member('MAR-02 link', 'link', { mode: SYMLINK, data: '/etc/passwd' });
  member('MAR-02 device', 'dev', { mode: 0o020666 });
  member('MAR-02 fifo', 'fifo', { mode: 0o010666 });
  member('MAR-02 setuid', 'suid', { mode: 0o104755 });
  add('MAR-02 tar traversal', buildTarGz([{ name: 'm/../../evil', data: Buffer.from(code) }]), 'tar.gz');
  // MAR-03, 04: names that readers see differently.
  for (const [i, name] of ['a\0.py', 'a\r\nb', 'a.', 'a ', 'x'.repeat(5000), '\u202egpj.py', 'a\u200b.py'].entries())
    member(`MAR-03 name ${i}`, name);
  member('MAR-03 not UTF-8', Buffer.from([0x61, 0xff, 0xfe]));
  member('MAR-03 local name', 'a.py', { localName: 'b.py' });
  member('MAR-04 twice', 'h.py');
  member('MAR-04 case', 'H.PY');
  member('MAR-04 unicode', '\uff48.py');
  member('MAR-04 hidden', 'hidden.py', { isHidden: true });
  // MAR-05, 06: more than it says, more than it should.
  member('MAR-05 bomb', 'zeros', { data: Buffer.alloc(300 * 1024 * 1024) });
  add('MAR-05 overlap', overlappingBomb());
  member('MAR-05 nested', 'inner.zip', { data: buildZip([{ name: 'zeros', data: Buffer.alloc(1024 * 1024) }]) });
  member('MAR-06 size', 'lie', { data: Buffer.alloc(1000), size: 10 });
  member('MAR-06 checksum', 'lie', { crc: 1 });
  member('MAR-06 stream', 'lie', {
    data: 'x',
    payload: Buffer.concat([deflateRawSync(Buffer.from('x')), Buffer.from(code)]),
  });
  // MAR-07: counts and depth.
  zip('MAR-07 many', [...GOOD, ...Array.from({ length: 10_001 }, (_, i) => ({ name: `e/${i}`, method: 0 }))]);
  zip('MAR-07 claimed', GOOD, { zip64: { entries: 1_000_000 }, entries: 0xffff });
  member('MAR-07 deep', `${'d/'.repeat(400)}x`);
  // MAR-09, 10: containers that are no plain zip.
  const good = buildZip(GOOD);
  add('MAR-09 truncated', good.subarray(0, good.length - 30));
  add('MAR-09 empty', Buffer.alloc(0));
  add('MAR-09 text', Buffer.from(code));
  zip('MAR-09 prefix', GOOD, { prefix: Buffer.from(`%PDF-1.7\n${code}`) });
  zip('MAR-09 suffix', GOOD, { suffix: Buffer.from(code) });
  zip('MAR-09 comment', GOOD, { comment: code });
  zip('MAR-09 gap', GOOD, { beforeDirectory: Buffer.from(code) });
  zip('MAR-09 multi-disk', GOOD, { disk: 1 });
  zip('MAR-09 zip64', GOOD, { zip64: { offset: 0 } });
  for (const method of [12, 14, 93, 99]) member(`MAR-09 method ${method}`, 'm', { method, payload: Buffer.from(code) });
  member('MAR-09 encrypted', 'e', { flags: 0x801 });
  member('MAR-09 local method', 'm', { localMethod: 0 });
  add('MAR-10 gzip of a zip', buildTarGz([{ name: 'm/x.mar', data: good }]), 'tar.gz');
  add('MAR-10 zip as tar.gz', good, 'tar.gz');
  // MAR-11, 12: the manifest reaches for other code, or is none.
  for (const [i, handler] of [
    '/tmp/x.py',
    '../x.py:h',
    'os:system',
    'shutil:rmtree',
    'x.py;id',
    'h\u2024py',
    'h.py:handle:x',
    'builtins',
    'h.py\n',
  ].entries())
    zip(`MAR-11 handler ${i}`, [manifest({ handler }), { name: 'h.py', data: HANDLER }]);
  for (const [i, text] of [
    'null',
    '[]',
    '"x"',
    '{',
    '',
    '{"model":null}',
    '{"model":[]}',
    `{"model":{"modelName":"../../${'x'.repeat(10)}"}}`,
    '{"a":1,"a":2}',
    '['.repeat(100_000),
    '{"model":{"modelName":"e","serializedFile":"../../etc/passwd"}}',
    '{"model":{"modelName":"e","configFile":"/etc/passwd"}}',
    '\ufeff{}',
    '{"runtime":"LSP"}',
  ].entries())
    zip(`MAR-12 manifest ${i}`, [
      { name: MANIFEST, data: text },
      { name: 'h.py', data: HANDLER },
    ]);
  zip('MAR-12 large manifest', [{ name: MANIFEST, data: `{"x":"${'y'.repeat(3_000_000)}"}` }]);
  // MAR-17, 18: files that Python or the loader would pick up by themselves.
  for (const name of ['sitecustomize.py', 'usercustomize.py', 'evil.pth', 'lib.so', 'x.pyc'])
    member(`MAR-17 ${name}`, name, { data: name.endsWith('.py') ? code : `import os; ${code}` });
  member('MAR-18 ELF', 'libop.dat', { data: Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01'), Buffer.alloc(200)]) });

  // PKL-01, 02, 03: pickles in every dress.
  const pickle = Buffer.from(`cposix\nsystem\n(S'touch ${canary.path}; curl -s 127.0.0.1:${canary.port}'\ntR.`);
  const protocol2 = Buffer.concat([Buffer.from([0x80, 2]), pickle]);
  const torchZip = (data: Buffer, extra: readonly ZipPart[] = []): Buffer =>
    buildZip([
      { name: 'archive/data.pkl', data, method: 0 },
      { name: 'archive/version', data: '3\n', method: 0 },
      ...extra,
    ]);
  for (const ending of ['pt', 'pth', 'bin', 'ckpt']) model(`PKL-01 ${ending}`, `w.${ending}`, torchZip(protocol2));
  model(
    'PKL-01 upper case',
    'w.pt',
    torchZip(Buffer.from([0x80, 2, 0x7d, 0x2e]), [{ name: 'archive/DATA.PKL', data: pickle, method: 0 }]),
  );
  for (const ending of ['pkl', 'pt', 'dat', 'txt', 'npy', 'safetensors', 'onnx', 'json'])
    model(`PKL-02 ${ending}`, `w.${ending}`, protocol2);
  model('PKL-02 protocol 0', 'w.pkl', pickle);
  model('PKL-02 broken', 'w.pkl', Buffer.concat([protocol2.subarray(0, -1), Buffer.from('XXXX')]));
  model('PKL-02 second stream', 'w.pkl', Buffer.concat([Buffer.from([0x80, 2, 0x7d, 0x2e]), protocol2]));
  add(
    'PKL-03 tar',
    buildZip([
      manifest({ serializedFile: 'w.pt' }),
      { name: 'h.py', data: HANDLER },
      { name: 'w.pt', data: tarOf(protocol2) },
    ]),
  );
  model('PKL-03 npy', 'w.npy', npyObjects(protocol2));
  model('PKL-03 joblib', 'w.joblib', protocol2);
  model('PKL-03 joblib gzip', 'w.joblib', Buffer.from('1f8b08000000000000030300000000000000000', 'hex'));
  model(
    'PKL-03 h5',
    'w.h5',
    Buffer.concat([Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), Buffer.from('{"class_name":"Lambda"}')]),
  );
  model(
    'PKL-03 keras',
    'w.keras',
    buildZip([
      { name: 'config.json', data: '{"class_name":"Lambda"}' },
      { name: 'metadata.json', data: '{}' },
    ]),
  );
  // PKL-05, 06: programs.
  model('PKL-05 TorchScript', 'w.pt', buildZip([
    { name: 'm/data.pkl', data: Buffer.from([0x80, 2, 0x7d, 0x2e]), method: 0 },
    { name: 'm/constants.pkl', data: Buffer.from([0x80, 2, 0x29, 0x2e]), method: 0 },
    { name: 'm/code/__torch__/M.py', data: `class M(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    _0 = torch.save(x, "${canary.path}")\n    return torch.from_file("${canary.path}", True, 1)\n` },
    { name: 'm/version', data: '3\n', method: 0 },
  ])); // prettier-ignore
  for (const name of ['w.ptl', 'w.pt', 'w.dat'])
    model(`PKL-06 flatbuffer ${name}`, name, Buffer.from(`4\0\0\0PTMF${'\0'.repeat(100)}`));
  model(
    'PKL-06 exported program',
    'w.pt2',
    buildZip([
      { name: 'archive_format', data: 'pt2' },
      { name: 'models/m.json', data: '{}' },
    ]),
  );
  // PKL-07, 08: ONNX that reaches out, or never ends.
  for (const [i, location] of ['../../etc/passwd', '/etc/passwd', 'a/../../x', 'C:\\x', 'absent.bin', ''].entries())
    model(`PKL-07 external ${i}`, 'w.onnx', onnx(bytesField(5, externalTensor(location))));
  model(
    'PKL-07 operator',
    'w.onnx',
    onnx(bytesField(1, Buffer.concat([bytesField(4, 'PyOp'), bytesField(7, 'ai.onnx.contrib')]))),
  );
  model('PKL-07 varint', 'w.onnx', Buffer.from([0x3a, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00]));
  model('PKL-07 deep', 'w.onnx', deepOnnx(10_000));
  model(
    'PKL-08 safetensors',
    'w.safetensors',
    Buffer.concat([Buffer.from('ffffffffffffff7f', 'hex'), Buffer.from('{}')]),
  );
  model('PKL-08 GGUF', 'w.gguf', Buffer.concat([Buffer.from('GGUF\x03\0\0\0'), Buffer.alloc(16, 0xff)]));
  // PKL-09: templates and references to code.
  const template = '{{ "".__class__.__mro__[1].__subclasses__() }}';
  zip('PKL-09 template', [
    ...GOOD,
    { name: 'tokenizer_config.json', data: JSON.stringify({ chat_template: template }) },
  ]);
  return archives;
}

function tarOf(data: Buffer): Buffer {
  const head = Buffer.alloc(512);
  head.write('pickle');
  head.write('0000644\0', 100);
  head.write(`${data.length.toString(8).padStart(11, '0')}\0`, 124);
  head.write('00000000000\0', 136);
  head.write('        0ustar\x0000', 148);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([head, data, Buffer.alloc(512 - (data.length % 512)), Buffer.alloc(1024)]);
}

function npyObjects(data: Buffer): Buffer {
  const header = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".padEnd(117) + '\n';
  return Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    Buffer.from([header.length, 0]),
    Buffer.from(header),
    data,
  ]);
}

function bytesField(field: number, data: Buffer | string): Buffer {
  const bytes = Buffer.from(data);
  return Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

/** A ModelProto with one graph. */
const onnx = (graph: Buffer): Buffer =>
  Buffer.concat([Buffer.from([0x08, 8]), bytesField(7, graph), bytesField(8, Buffer.from([0x10, 17]))]);

/** A TensorProto whose bytes lie elsewhere. */
const externalTensor = (location: string): Buffer =>
  Buffer.concat([
    Buffer.from([0x08, 1, 0x10, 1]),
    bytesField(8, 'x'),
    bytesField(13, Buffer.concat([bytesField(1, 'location'), bytesField(2, location)])),
    Buffer.from([0x70, 1]),
  ]);

/** Graphs inside attributes of nodes of graphs. */
function deepOnnx(depth: number): Buffer {
  // Written from the inside, with a length that only grows: quadratic copying would take a minute.
  const heads: Buffer[] = [];
  let length = 0;
  for (let level = 0; level < depth; level += 1) {
    for (const field of [6, 5, 1]) {
      const head = Buffer.concat([varint((field << 3) | 2), varint(length)]);
      heads.push(head);
      length += head.length;
    }
  }
  return onnx(Buffer.concat(heads.toReversed()));
}
