// Archives as TorchServe's packager writes them (surface spec 7.5, 8), registered with the real server.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe } from 'node:test';
import { buildZip } from '../attack/archives.ts';
import { startCompatServer, type CompatServer } from '../support/compat-server.ts';
import { describeWithServer } from '../support/compat-suite.ts';
import type { Exchanged } from '../support/http-exchange.ts';
import { managementCalls, refuses } from '../support/management-calls.ts';
import { makeModelStore, NOOP, type TestStore } from '../support/model-store.ts';
import { behaviour } from './behaviour.ts';

const SHOW_MODEL = `
import json
import os

def handle(data, context):
    if data is None:
        return None
    return [json.dumps({
        "manifest": context.manifest,
        "yaml": context.model_yaml_config,
        "name": context.model_name,
        "files": sorted(os.listdir(context.system_properties["model_dir"])),
    })] * len(data)
`;
const FULL_YAML = `
minWorkers: 1
maxWorkers: 2
batchSize: 4
maxBatchDelay: 30
responseTimeout: 40
startupTimeout: 50
deviceType: cpu
maxRetryTimeoutInSec: 60
clientTimeoutInMills: 70000
jobQueueSize: 8
useJobTicket: true
handler:
  model_path: weights
  nested: [1, 2.5, yes]
unknownKey: {a: 1}
`;
const ODD_YAML = `
minWorkers: many
batchSize: [1]
maxBatchDelay: -5
responseTimeout: -1
deviceType: abacus
`;

const fill = (store: TestStore): void => {
  store.addArchive('zipped.mar', 'zipped', SHOW_MODEL, { files: { 'extra.txt': 'x', 'sub/inner.txt': 'y' } });
  store.addArchive('tarred.tar.gz', 'tarred', SHOW_MODEL, { files: { 'extra.txt': 'x' } });
  store.addArchive('tarred.tgz', 'tarred', SHOW_MODEL);
  store.add('folder', SHOW_MODEL);
  store.addArchive('needs.mar', 'needs', SHOW_MODEL, {
    model: { requirementsFile: 'requirements.txt' },
    files: { 'requirements.txt': 'no-such-package-of-davy==0.0.1' },
  });
  store.addArchive('full.mar', 'full', SHOW_MODEL, { config: FULL_YAML });
  store.addArchive('odd.mar', 'odd', SHOW_MODEL, { config: ODD_YAML });
  store.addArchive('badyaml.mar', 'badyaml', SHOW_MODEL, { config: 'a: [1\nb: {' });
  store.addArchive('versionless.mar', 'versionless', NOOP, { model: { modelVersion: undefined } });
  store.addArchive('name-less.1.mar', 'nameless', NOOP, { model: { modelName: undefined, handler: 'nameless.py' } });
  const executable = 'import sys\n\ndef handle(data, context):\n    return data and [sys.executable] * len(data)\n';
  store.addArchive('python3.mar', 'python3', executable, { manifest: { runtime: 'python3' } });
  store.addArchive('runtime.mar', 'runtime', NOOP, { manifest: { runtime: 'cobol' } });
  store.addArchive('lsp.mar', 'lsp', NOOP, { manifest: { runtime: 'LSP' } });
  store.addArchive('modelless.mar', 'modelless', NOOP, { manifest: { model: undefined } });
  store.addArchive('function.mar', 'function', NOOP.replace('def handle', 'def other'), {
    model: { handler: 'function.py:other' },
  });
  store.addArchive('extended.mar', 'extended', SHOW_MODEL, {
    model: { extensions: 'x', description: 'y' },
    manifest: {
      specificationVersion: '1.0',
      implementationVersion: '1.0',
      modelServerVersion: '1.0',
      description: 'z',
    },
  });
  const manifestless = [{ name: 'default_service_handler.py', data: NOOP }];
  writeFileSync(join(store.dir, 'bare_one.mar'), buildZip(manifestless));
  writeFileSync(
    join(store.dir, 'badjson.mar'),
    buildZip([{ name: 'MAR-INF/MANIFEST.json', data: '{' }, ...manifestless]),
  );
  writeFileSync(join(store.dir, 'slip.mar'), buildZip([{ name: '../slip.py', data: NOOP }]));
  writeFileSync(join(store.dir, 'text.mar'), 'this is not a zip');
};

interface ModelShown {
  readonly manifest: { readonly model: Record<string, unknown>; readonly [key: string]: unknown };
  readonly yaml: Record<string, unknown>;
  readonly name: string;
  readonly files: readonly string[];
}

describeWithServer('archives', fill, {}, (suite) => {
  const { register, remove } = managementCalls(suite);
  const shown = async (url: string, model: string): Promise<ModelShown> => {
    assert.equal((await register(`url=${url}`)).status, 200, url);
    const answer = await suite.server.infer(`/predictions/${model}`);
    await remove(model);
    return answer.json<ModelShown>();
  };

  describe('as containers', () => {
    behaviour(
      '8.1',
      'same',
      'a .mar is a zip, everything else a gzipped tar whose first path component is dropped',
      async () => {
        assert.deepEqual((await shown('zipped.mar', 'zipped')).files, ['MAR-INF', 'extra.txt', 'sub', 'zipped.py']);
        assert.deepEqual((await shown('tarred.tar.gz', 'tarred')).files, ['MAR-INF', 'extra.txt', 'tarred.py']);
        assert.deepEqual((await shown('tarred.tgz', 'tarred')).files, ['MAR-INF', 'tarred.py']);
      },
    );

    behaviour('8.1', 'same', 'a directory of the model store is a model without an archive', async () => {
      assert.deepEqual((await shown('folder', 'folder')).files, ['MAR-INF', 'folder.py']);
    });

    behaviour(
      '8.1',
      'stricter',
      'an archive that leaves its folder is refused before anything is unpacked',
      async () => {
        const answer = await register('url=slip.mar');
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'InvalidModelException']);
        assert.equal(existsSync(join(suite.store.dir, '..', 'slip.py')), false);
      },
    );

    behaviour(
      '8.1',
      'stricter',
      'a .mar that is no zip is refused at registration, not when its handler is loaded',
      async () => {
        const answer = await register('url=text.mar');
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'InvalidModelException']);
      },
    );
  });

  describe('and their manifest', () => {
    behaviour('8.2', 'same', 'the handler sees the manifest as it is, unknown members included', async () => {
      const { manifest, name } = await shown('extended.mar', 'extended');
      assert.equal(name, 'extended');
      assert.deepEqual(manifest['specificationVersion'], '1.0');
      assert.deepEqual(manifest.model, {
        modelName: 'extended',
        modelVersion: '1.0',
        handler: 'extended.py',
        extensions: 'x',
        description: 'y',
      });
    });

    behaviour(
      '8.2',
      'same',
      'no version means 1.0; python3 is the interpreter of that name on PATH, whatever is configured',
      async () => {
        await register('url=versionless.mar');
        assert.equal((await suite.server.view('versionless')).modelVersion, '1.0');
        await remove('versionless');
        await register('url=python3.mar&initial_workers=1');
        assert.equal((await suite.server.view('python3'))['runtime'], 'python3');
        const used = await suite.server.infer('/predictions/python3');
        assert.deepEqual([used.status, basename(used.text).startsWith('python3')], [200, true], used.text);
        assert.notEqual(used.text, process.env['DAVY_PYTHON']);
        await remove('python3');
      },
    );

    behaviour(
      '8.2',
      'same',
      'an archive without a manifest is a Python model of version 1.0 with the default handler',
      async () => {
        assert.equal((await register('url=bare_one.mar')).status, 200);
        assert.equal((await suite.server.infer('/predictions/bare_one')).text, 'OK');
        await remove('bare_one');
      },
    );

    behaviour('7.5', 'same', 'without any name the file’s is taken, with other characters made _', async () => {
      assert.equal((await register('url=name-less.1.mar')).status, 200);
      assert.equal((await remove('name_less_1')).status, 200);
    });

    behaviour(
      '3.1',
      'same',
      'a manifest without its model entry, with a bad runtime, or not JSON is 400 in the reference’s words',
      async () => {
        refuses(
          await register('url=modelless.mar'),
          400,
          'InvalidModelException',
          'Missing Model entry in manifest file.',
        );
        refuses(await register('url=runtime.mar'), 400, 'InvalidModelException', 'Runtime is not defined or invalid.');
        refuses(await register('url=badjson.mar'), 400, 'InvalidModelException', 'Failed to parse signature.json.');
      },
    );

    behaviour(
      '12.4',
      'absent',
      'the C++ back end is not carried over: runtime LSP is refused at registration',
      async () => {
        const answer = await register('url=lsp.mar');
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'InvalidModelException']);
      },
    );

    behaviour('9.1', 'same', 'file.py:function names the entry point', async () => {
      assert.equal((await register('url=function.mar')).status, 200);
      assert.equal((await suite.server.infer('/predictions/function')).text, 'OK');
      await remove('function');
    });
  });

  describe('and their model-config.yaml', () => {
    behaviour('8.3', 'same', 'its keys decide how the model is served', async () => {
      await register('url=full.mar');
      const view = await suite.server.view('full');
      const keys =
        'minWorkers maxWorkers batchSize maxBatchDelay responseTimeout startupTimeout maxRetryTimeoutInSec clientTimeoutInMills useJobTicket deviceType';
      assert.deepEqual(
        keys.split(' ').map((key) => view[key]),
        [1, 2, 4, 30, 40, 50, 60, 70_000, true, 'cpu'],
      );
      assert.equal(view.jobQueueStatus.remainingCapacity, 8);
      await remove('full');
    });

    behaviour(
      '8.3',
      'same',
      'the handler gets all of it as context.model_yaml_config, {} where there is none',
      async () => {
        const { yaml } = await shown('full.mar', 'full');
        assert.deepEqual(yaml['handler'], { model_path: 'weights', nested: [1, 2.5, true] });
        assert.deepEqual(yaml['unknownKey'], { a: 1 });
        assert.deepEqual((await shown('zipped.mar', 'zipped')).yaml, {});
      },
    );

    behaviour('8.3', 'same', 'values of a wrong type are ignored', async () => {
      assert.equal((await register('url=odd.mar')).status, 200);
      const view = await suite.server.view('odd');
      assert.deepEqual(
        [view['batchSize'], view['maxBatchDelay'], view['responseTimeout'], view['deviceType']],
        [1, 100, 120, 'cpu'],
      );
      await remove('odd');
    });

    behaviour('8.3', 'same', 'YAML that does not parse is logged and skipped', async () => {
      assert.equal((await register('url=badyaml.mar')).status, 200);
      assert.equal((await suite.server.view('badyaml'))['batchSize'], 1);
      await suite.server.until(/Failed to parse model config file model-config\.yaml/);
      await remove('badyaml');
    });
  });

  describe('and their requirements', () => {
    behaviour(
      '8.5',
      'same',
      'without install_py_dep_per_model a requirements file is carried and nothing is installed',
      async () => {
        const { files } = await shown('needs.mar', 'needs');
        assert.deepEqual(files, ['MAR-INF', 'needs.py', 'requirements.txt']);
      },
    );
  });

  describe('from a URL', () => {
    behaviour(
      '13.4',
      'same',
      'a malformed or refused download is 400, a file that is already in the store 500; a downloaded file goes with its model',
      async () => {
        const files = createServer((_request, response) =>
          response.end(readFileSync(join(suite.store.dir, 'zipped.mar'))),
        ).listen(0, '127.0.0.1');
        await once(files, 'listening');
        const at = `http://127.0.0.1:${(files.address() as { port: number }).port}`;
        try {
          await using server = await startCompatServer({
            modelStore: suite.store.dir,
            config: [`allowed_urls=http(s)?://.*,${at}/.*,http://127.0.0.1:1/.*`, 'default_workers_per_model=0'],
          });
          const from = (url: string): Promise<Exchanged> =>
            server.admin(`/models?url=${encodeURIComponent(url)}`, 'POST');
          const malformed = 'http://localhost:aaaa';
          refuses(
            await from(malformed),
            400,
            'DownloadArchiveException',
            `Failed to download archive from: ${malformed}`,
          );
          const refused = 'http://127.0.0.1:1/x.mar';
          refuses(await from(refused), 400, 'DownloadArchiveException', `Failed to download archive from: ${refused}`);
          refuses(
            await from(`${at}/zipped.mar`),
            500,
            'InternalServerException',
            'Model file already exists zipped.mar',
          );
          assert.equal((await from(`${at}/fresh.mar`)).status, 200);
          assert.equal(existsSync(join(suite.store.dir, 'fresh.mar')), true);
          assert.equal((await server.admin('/models/zipped', 'DELETE')).status, 200);
          assert.equal(existsSync(join(suite.store.dir, 'fresh.mar')), false);
        } finally {
          files.close();
        }
      },
    );

    describe('that allowed_urls matches', () => {
      let files: Server;
      let at: string;
      let server: CompatServer;
      before(async () => {
        files = createServer((request, response) => {
          if (request.url === '/deep/moved.mar') response.writeHead(302, { location: '/deep/er.mar' }).end();
          else response.end(readFileSync(join(suite.store.dir, 'zipped.mar')));
        }).listen(0, '127.0.0.1');
        await once(files, 'listening');
        at = `http://127.0.0.1:${(files.address() as { port: number }).port}`;
        const allowed = [`${at}/deep/.*`, `file://${suite.store.dir}/.*`];
        const config = [`allowed_urls=${allowed.join(',')}`, 'default_workers_per_model=0'];
        server = await startCompatServer({ modelStore: suite.store.dir, config });
      });
      after(async () => {
        await server?.stop();
        files?.close();
      });
      const from = (url: string): Promise<Exchanged> => server.admin(`/models?url=${encodeURIComponent(url)}`, 'POST');

      behaviour(
        '8.6',
        'same',
        'the last component of its path is the file’s name in the store, without the query',
        async () => {
          const answer = await from(`${at}/deep/er.mar?token=secret`);
          assert.equal(answer.status, 200, answer.text);
          assert.equal(existsSync(join(suite.store.dir, 'er.mar')), true);
          await server.admin('/models/zipped', 'DELETE');
        },
      );

      behaviour('8.6', 'same', 'the whole URL must match, in any case of letters', async () => {
        assert.equal((await from(`${at}/DEEP/upper.mar`)).status, 200);
        await server.admin('/models/zipped', 'DELETE');
        const other = `${at}/other/deep/er.mar`;
        refuses(
          await from(other),
          404,
          'ModelNotFoundException',
          `Given URL ${other} does not match any allowed URL(s)`,
        );
      });

      behaviour('8.6', 'same', 'a file URL names a file of the store', async () => {
        assert.equal((await from(`file://${suite.store.dir}/tarred.tgz`)).status, 200);
        await server.admin('/models/tarred', 'DELETE');
      });

      behaviour('8.6', 'stricter', 'a redirect is not followed', async () => {
        const answer = await from(`${at}/deep/moved.mar`);
        assert.deepEqual([answer.status, answer.json<{ type: string }>().type], [400, 'DownloadArchiveException']);
      });
    });
  });

  describe('loaded at start', () => {
    behaviour('7.5', 'same', 'all means every archive and directory of the store that is not hidden', async () => {
      using few = makeModelStore();
      few.addArchive('one.mar', 'one', NOOP);
      few.addArchive('two.tar.gz', 'two', NOOP);
      few.add('three', NOOP);
      few.addArchive('.hidden.mar', 'hidden', NOOP);
      writeFileSync(join(few.dir, 'notes.txt'), 'no model');
      await using server = await startCompatServer({ modelStore: few.dir, models: ['all'] });
      const { models } = (await server.admin('/models')).json<{ models: { modelName: string }[] }>();
      assert.deepEqual(
        models.map(({ modelName }) => modelName),
        ['one', 'three', 'two'],
      );
    });

    behaviour(
      '7.5',
      'same',
      'name=archive gives the name; all loads what lies in the store; a broken one does not stop the start',
      async () => {
        await using named = await startCompatServer({
          modelStore: suite.store.dir,
          models: ['mine=zipped.mar', 'none.mar'],
        });
        const listed = (await named.admin('/models')).json<{ models: { modelName: string; modelUrl: string }[] }>();
        assert.deepEqual(listed.models, [{ modelName: 'mine', modelUrl: 'zipped.mar' }]);
        assert.equal((await named.ready('mine'))['loadedAtStartup'], true);
        assert.match(named.output(), /Failed to load model: none\.mar/);
      },
    );
  });
});

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'torch-model-archiver');

describe('torch-model-archiver', () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-archiver-'));
    writeFileSync(join(dir, 'handler.py'), NOOP);
    writeFileSync(join(dir, 'index_to_name.json'), '{}');
    mkdirSync(join(dir, 'more'));
    writeFileSync(join(dir, 'more', 'a.txt'), 'a');
    writeFileSync(join(dir, 'more', 'b.txt'), 'b');
  });
  after(() => rmSync(dir, { recursive: true, force: true }));
  const archive = (...flags: string[]): { status: number | null; output: string } => {
    const all = ['--model-name', 'packed', '--version', '2.5', '--handler', 'handler.py', ...flags];
    const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...all], { cwd: dir, encoding: 'utf8' });
    return { status, output: stdout + stderr };
  };

  behaviour('8.7', 'same', 'what it packs in each format, the server serves', async () => {
    const store = join(dir, 'store');
    for (const [format, url] of [
      ['default', 'packed.mar'],
      ['zip-store', 'packed.mar'],
      ['tgz', 'packed.tar.gz'],
      ['no-archive', 'packed'],
    ] as const) {
      const made = archive(
        '--extra-files',
        'index_to_name.json,more',
        '--export-path',
        store,
        '--archive-format',
        format,
        '-f',
      );
      assert.deepEqual([made.status, existsSync(join(store, url))], [0, true], made.output);
    }
    await using server = await startCompatServer({ modelStore: store });
    for (const url of ['packed.mar', 'packed.tar.gz', 'packed']) {
      const answer = await server.admin(`/models?url=${url}`, 'POST');
      assert.equal(answer.status, 200, answer.text);
      assert.equal((await server.view('packed')).modelVersion, '2.5');
      assert.equal((await server.infer('/predictions/packed/2.5')).text, 'OK');
      await server.admin('/models/packed', 'DELETE');
    }
  });

  behaviour('8.7', 'same', 'it does not overwrite without --force', () => {
    assert.equal(archive('--export-path', 'out').status, 0);
    const again = archive('--export-path', 'out');
    assert.equal(again.status, 1);
    assert.match(
      again.output,
      /packed\.mar already exists\.\nPlease specify --force\/-f option to overwrite the model archive output file\.\nSee -h\/--help for more details\./,
    );
    assert.equal(archive('--export-path', 'out', '--force').status, 0);
  });

  behaviour('8.7', 'same', 'model names are letters, digits, _ - and ., and everything refused is status 1', () => {
    assert.equal(archive('--model-name', '../x').status, 1);
    assert.equal(archive('--serialized-file', 'none.pt').status, 1);
  });

  behaviour('8.7', 'same', 'long flags may be cut short while they stay unambiguous, as argparse has it', () => {
    assert.equal(archive('--export-p', 'short', '--archive-f=tgz').status, 0);
    assert.ok(existsSync(join(dir, 'short', 'packed.tar.gz')));
    // --model-name or --model-file?
    assert.equal(archive('--model', 'x').status, 2);
  });
});

describe('torch-workflow-archiver', () => {
  const bin = join(import.meta.dirname, '..', '..', 'bin', 'torch-workflow-archiver');

  behaviour('8.8', 'same', 'it packs spec, handler and extra files, and does not overwrite without --force', () => {
    const dir = mkdtempSync(join(tmpdir(), 'davy-workflows-'));
    try {
      writeFileSync(join(dir, 'flow.yaml'), 'models: {}\ndag: {}\n');
      writeFileSync(join(dir, 'flow.py'), 'def first(data, context):\n    return data\n');
      writeFileSync(join(dir, 'labels.txt'), 'a');
      const run = (...flags: string[]): { status: number | null; output: string } => {
        const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...flags], { cwd: dir, encoding: 'utf8' });
        return { status, output: stdout + stderr };
      };
      const flags = ['--workflow-name', 'flow', '--spec-file', 'flow.yaml', '--handler', 'flow.py'];
      const made = run(...flags, '--extra-files', 'labels.txt', '--export-path', 'out');
      assert.equal(made.status, 0, made.output);
      const war = readFileSync(join(dir, 'out', 'flow.war'));
      for (const name of ['WAR-INF/MANIFEST.json', 'flow.yaml', 'flow.py', 'labels.txt']) {
        assert.ok(war.includes(name), name);
      }
      const again = run(...flags, '--export-path', 'out');
      assert.equal(again.status, 1);
      assert.match(again.output, /flow\.war already exists\.\nPlease specify --force\/-f option to overwrite/);
      assert.equal(run(...flags, '--export-path', 'out', '-f').status, 0);
      assert.equal(run('--workflow-name', '../x', '--spec-file', 'flow.yaml').status, 1);
      assert.equal(run('--spec-file', 'flow.yaml').status, 2);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
