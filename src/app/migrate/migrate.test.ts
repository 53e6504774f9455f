import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { makeFinding, Fault } from '../../kernel/index.ts';
import { DEFAULT_MANIFEST } from '../../archive/index.ts';
import { judgeModel, type ModelView } from './judge-model.ts';
import { judgeReferences, judgeSources } from './judge-references.ts';
import { parseStartCommand, shellWords } from './start-command.ts';

const context = {
  hasModule: (name: string) => name === 'ts.torch_handler.base_handler',
  installsRequirements: false,
  workerEnv: new Set(['LANG']),
};
const model = (rest: Partial<ModelView>): ModelView => ({
  name: 'm.mar',
  description: { manifest: DEFAULT_MANIFEST, config: null, rawConfig: null, warnings: [], configWarnings: [] },
  failure: undefined,
  findings: [],
  sources: new Map(),
  ...rest,
});
const judgePython = (text: string): readonly string[] =>
  judgeModel(model({ sources: new Map([['h.py', text]]) }), context)
    .filter(({ kind }) => kind === 'change')
    .map(({ message }) => message);

describe('a start command', () => {
  test('is split as a shell splits it', () => {
    assert.deepEqual(shellWords(`a 'b c' "d \\"e\\"" f\\ g h=i"j k" | tee x`), ['a', 'b c', 'd "e"', 'f g', 'h=ij k']);
    assert.deepEqual(shellWords('a \\\n  b && c'), ['a', 'b']);
  });

  test('any words come back as they were quoted', () => {
    const word = fc.string({ minLength: 1, maxLength: 8 });
    const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
    fc.assert(
      fc.property(fc.array(word, { maxLength: 4 }), (words) => {
        assert.deepEqual(shellWords(words.map(quote).join(' ')), words);
      }),
      { numRuns: 100 },
    );
  });

  test('gives the keys behind its flags, its variables, and says which flags it does not know', () => {
    const line =
      'TS_CONFIG_FILE=c.properties /opt/bin/torchserve --start --ncs --model-store /m --models a=a.mar b.mar --dt --gpu 1';
    const { env, values, usesSnapshots, remarks } = parseStartCommand(line, '/srv');
    assert.equal(env.get('TS_CONFIG_FILE'), 'c.properties');
    assert.equal(usesSnapshots, false);
    assert.equal(values.get('model_store'), '/m');
    assert.equal(values.get('load_models'), 'a=a.mar,b.mar');
    assert.deepEqual(
      remarks.filter(({ kind }) => kind === 'change').map(({ subject }) => subject),
      ['--gpu'],
    );
  });

  test('that does not start TorchServe is refused', () => {
    assert.throws(
      () => parseStartCommand('ls', '/'),
      (thrown) => thrown instanceof Fault && thrown.code === 'usage',
    );
  });
});

describe('a model of TorchServe', () => {
  test('without anything to say loads unchanged', () => {
    assert.deepEqual(
      judgeModel(model({ findings: [makeFinding('python_code', 'x', 'h.py')] }), context).map(({ kind }) => kind),
      ['same'],
    );
  });

  test('that is denied or cannot be read is told why', () => {
    const findings = [makeFinding('pickle_not_allowed', 'posix.system', 'w.pt')];
    const [remark] = judgeModel(model({ findings }), context);
    assert.equal(remark?.subject, 'w.pt');
    assert.match(remark?.write?.[0] ?? '', /state_dict/);
    assert.equal(judgeModel(model({ description: null, failure: 'Runtime LSP' }), context)[0]?.message, 'Runtime LSP');
  });

  test('is told of modules, variables and downloads that its worker will not find', () => {
    assert.equal(judgePython('from ts.torch_handler.base_handler import BaseHandler').length, 0);
    assert.match(judgePython('import ts.foo.bar\n')[0] ?? '', /ts\.foo\.bar/);
    assert.equal(judgePython('# import ts.foo\nx = os.getenv("LANG")').length, 0);
    assert.equal(judgePython('x = os.environ["AWS_SECRET"]').length, 1);
    assert.match(judgePython('import os, requests\n')[0] ?? '', /requests/);
    assert.match(judgePython('AutoModel.from_pretrained("org/name")')[0] ?? '', /org\/name/);
    assert.equal(judgePython('AutoModel.from_pretrained("./local")').length, 0);
  });
});

describe('places of models', () => {
  const judge = (list: string, allowed = ''): readonly (readonly string[] | undefined)[] =>
    judgeReferences(
      new Map([
        ['load_models', list],
        ['allowed_urls', allowed],
      ]),
      [],
      ['/m'],
      (path) => path === '/m/a.mar',
    ).map(({ write }) => write);

  test('are the model store, or allowed URLs', () => {
    assert.deepEqual(judge('all'), []);
    assert.deepEqual(judge('x=a.mar,/m/a.mar,sub/a.mar'), []);
    assert.deepEqual(judge('https://h.example/x.mar'), [['allowed_urls=https://h.example/.*']]);
    assert.deepEqual(judge('https://h.example/x.mar', 'https://h.example/.*'), []);
    assert.deepEqual(judge('/other/x.mar'), [['model_store=/m,/other']]);
    assert.deepEqual(judge('gone.mar'), [undefined]);
    assert.deepEqual(judge('a.mar, a.mar'), [['a.mar']]);
  });

  test('need naming where clients register, and readable patterns', () => {
    assert.equal(judgeSources(new Map())[0]?.kind, 'note');
    assert.equal(judgeSources(new Map([['enable_model_api', 'true']]))[0]?.kind, 'change');
    assert.equal(judgeSources(new Map([['allowed_urls', '.*']]))[0]?.kind, 'change');
  });
});
