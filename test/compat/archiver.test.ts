// torch-model-archiver and its Python API (surface spec 8.7): each flag, and what lands in the archive.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe } from 'node:test';
import { NOOP } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const BIN = join(ROOT, 'bin', 'torch-model-archiver');
const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';

/** Members of a .mar or .tar.gz by name, and whether a .mar's are compressed, as Python's own libraries see them. */
const LIST = `
import json, sys, tarfile, zipfile
path = sys.argv[1]
if path.endswith(".mar"):
    members = zipfile.ZipFile(path).infolist()
    print(json.dumps([sorted(m.filename for m in members), sorted({m.compress_type for m in members})]))
else:
    print(json.dumps([sorted(tarfile.open(path, "r:gz").getnames()), []]))
`;

interface Manifest {
  readonly createdOn: string;
  readonly runtime: string;
  readonly archiverVersion: string;
  readonly model: Readonly<Record<string, string>>;
}

describe('torch-model-archiver, flag by flag', () => {
  let dir: string;
  const put = (name: string, text = name): void => {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  };
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-flags-'));
    for (const name of ['code/own.py', 'handler.py', 'net.py']) put(name, NOOP);
    for (const name of ['labels/a.txt', 'labels/b.txt', 'labels/c.json', 'weights/model.pt', 'conf/serving.yaml'])
      put(name);
    for (const name of ['more/deep/d.txt', 'more/__pycache__/x.pyc', 'more/.git/config', 'more/__MACOSX/y']) put(name);
    put('requirements.txt', 'numpy\n');
    put('weights/model.pt', '');
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const run = (...flags: string[]): { status: number | null; output: string } => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...flags], { cwd: dir, encoding: 'utf8' });
    return { status, output: stdout + stderr };
  };
  /** Packs a directory, which needs no unpacking to be looked into. */
  const pack = (name: string, ...flags: string[]): { files: readonly string[]; manifest: Manifest } => {
    const all = ['--model-name', name, '-v', '1.0', '--archive-format', 'no-archive', '--export-path', 'out', ...flags];
    const { status, output } = run(...all);
    assert.equal(status, 0, output);
    const folder = join(dir, 'out', name);
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
      .filter((file) => !file.startsWith('MAR-INF'))
      .toSorted();
    return { files, manifest: JSON.parse(readFileSync(join(folder, 'MAR-INF', 'MANIFEST.json'), 'utf8')) as Manifest };
  };

  behaviour(
    '8.7',
    'same',
    'model name, version and handler are required: status 2, and the missing one is named',
    () => {
      const all = { '--model-name': 'm', '--version': '1.0', '--handler': 'handler.py' };
      for (const missing of Object.keys(all)) {
        const flags = Object.entries(all).filter(([flag]) => flag !== missing);
        const { status, output } = run(...flags.flat());
        assert.equal(status, 2, missing);
        assert.match(output, new RegExp(missing));
      }
    },
  );

  behaviour('8.7', 'same', 'every file lands in the root under its own name, and the manifest names it so', () => {
    const { files, manifest } = pack(
      'full',
      ...['--handler', 'code/own.py:entry', '--model-file', 'net.py', '--serialized-file', 'weights/model.pt'],
      ...['-r', 'requirements.txt', '-c', 'conf/serving.yaml', '--runtime', 'python3'],
    );
    assert.deepEqual(files, ['model.pt', 'net.py', 'own.py', 'requirements.txt', 'serving.yaml']);
    const { createdOn, archiverVersion, ...rest } = manifest;
    assert.match(createdOn, /^\d\d\/\d\d\/\d{4} \d\d:\d\d:\d\d$/);
    assert.match(archiverVersion, /^\d+\.\d+/);
    assert.deepEqual(rest, {
      runtime: 'python3',
      model: {
        modelName: 'full',
        modelVersion: '1.0',
        handler: 'own.py:entry',
        modelFile: 'net.py',
        serializedFile: 'model.pt',
        requirementsFile: 'requirements.txt',
        configFile: 'serving.yaml',
      },
    });
  });

  behaviour('8.7', 'same', 'a handler may leave out its .py, and one that comes with the server is not copied', () => {
    assert.deepEqual(pack('bare', '--handler', 'code/own').files, ['own.py']);
    for (const name of ['base_handler', 'image_classifier']) {
      const { files, manifest } = pack(name, '--handler', name, '--serialized-file', 'weights/model.pt');
      assert.deepEqual([files, manifest.model['handler']], [['model.pt'], name]);
    }
  });

  behaviour('8.7', 'same', 'extra files are a comma list with wildcards; a directory stands for its content', () => {
    const handler = ['--handler', 'handler.py'];
    assert.deepEqual(pack('listed', ...handler, '--extra-files', 'labels/*.txt,conf/serving.yaml').files, [
      'a.txt',
      'b.txt',
      'handler.py',
      'serving.yaml',
    ]);
    assert.deepEqual(pack('folder', ...handler, '--extra-files', 'labels').files, [
      'a.txt',
      'b.txt',
      'c.json',
      'handler.py',
    ]);
  });

  behaviour('8.7', 'same', '__MACOSX, __pycache__ and directories with a dot stay out', () => {
    assert.deepEqual(pack('clean', '--handler', 'handler.py', '--extra-files', 'more').files, [
      'deep/d.txt',
      'handler.py',
    ]);
  });

  behaviour(
    '8.7',
    'same',
    'default is a compressed .mar, zip-store a stored one, tgz has the model’s name as its root',
    () => {
      const listed = (format: string, file: string): unknown => {
        const flags = [
          '--model-name',
          format,
          '--version',
          '1',
          '--handler',
          'handler.py',
          '--export-path',
          'new/folder',
        ];
        const { status, output } = run(...flags, '--archive-format', format);
        assert.equal(status, 0, output);
        return JSON.parse(spawnSync(PYTHON, ['-c', LIST, join(dir, 'new/folder', file)], { encoding: 'utf8' }).stdout);
      };
      const members = ['MAR-INF/MANIFEST.json', 'handler.py'];
      assert.deepEqual(listed('default', 'default.mar'), [members, [8]]);
      assert.deepEqual(listed('zip-store', 'zip-store.mar'), [members, [0]]);
      assert.deepEqual(listed('tgz', 'tgz.tar.gz'), [['tgz', ...members.map((name) => `tgz/${name}`)], []]);
    },
  );

  behaviour('8.7', 'same', 'no format overwrites without --force', () => {
    for (const [format, file] of [
      ['tgz', 'twice.tar.gz'],
      ['no-archive', 'twice'],
    ] as const) {
      const flags = ['--model-name', 'twice', '--version', '1', '--handler', 'handler.py', '--archive-format', format];
      assert.equal(run(...flags).status, 0);
      const again = run(...flags);
      assert.equal(again.status, 1);
      assert.ok(again.output.includes(`${file} already exists.\nPlease specify --force/-f option`), again.output);
      assert.equal(run(...flags, '-f').status, 0);
    }
  });

  behaviour(
    '8.7',
    'same',
    'a file that does not exist, an unknown runtime or format: an error that names it, and no archive',
    () => {
      const flags = ['--model-name', 'never', '--version', '1', '--export-path', 'nothing'];
      const cases: readonly (readonly [string[], RegExp])[] = [
        [['--handler', 'none.py'], /none\.py/],
        [['--handler', 'handler.py', '--model-file', 'no-net.py'], /no-net\.py/],
        [['--handler', 'handler.py', '--serialized-file', 'no.pt'], /no\.pt/],
        [['--handler', 'handler.py', '--extra-files', 'labels,absent.txt'], /absent\.txt/],
        [['--handler', 'handler.py', '-r', 'no-requirements.txt'], /no-requirements\.txt/],
        [['--handler', 'handler.py', '-c', 'no-config.yaml'], /no-config\.yaml/],
        [['--handler', 'handler.py', '--runtime', 'cobol'], /[Rr]untime/],
        [['--handler', 'handler.py', '--archive-format', 'rar'], /rar/],
      ];
      for (const [more, words] of cases) {
        const { status, output } = run(...flags, ...more);
        assert.ok(status === 1 || status === 2, `${status} ${more.join(' ')}`);
        assert.match(output, words);
      }
      assert.equal(readdirSync(dir).includes('nothing'), false);
    },
  );

  behaviour('8.7', 'same', 'model_archiver packs from Python: ModelArchiverConfig and generate_model_archive', () => {
    const script = `
from model_archiver import ModelArchiverConfig
from model_archiver.model_packaging import generate_model_archive
config = ModelArchiverConfig(
    model_name="scripted", version="3.0", handler="handler.py", model_file="net.py", extra_files="labels/a.txt",
    export_path="scripted", archive_format="no-archive", config_file="conf/serving.yaml", requirements_file="requirements.txt",
    serialized_file="weights/model.pt", runtime="python", force=True,
)
generate_model_archive(config)
generate_model_archive(config)
`;
    const env = { PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`, PYTHONPATH: join(ROOT, 'python') };
    const { status, stderr } = spawnSync(PYTHON, ['-c', script], { cwd: dir, env, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const files = readdirSync(join(dir, 'scripted', 'scripted')).toSorted();
    assert.deepEqual(files, [
      'MAR-INF',
      'a.txt',
      'handler.py',
      'model.pt',
      'net.py',
      'requirements.txt',
      'serving.yaml',
    ]);
  });
});
