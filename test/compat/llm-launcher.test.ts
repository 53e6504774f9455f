// `python -m ts.llm_launcher` (surface spec 12.6): its flags, what it says without an engine, and what it starts with a handler.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { exchange } from '../support/http-exchange.ts';
import { freePorts } from '../support/real-server.ts';
import { TEST_ISOLATION } from '../support/test-isolation.ts';
import { behaviour } from './behaviour.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const PYTHON = process.env['DAVY_PYTHON'] ?? 'python3';
const WAIT_MS = 30_000;

/** Routes as the vLLM handler does, with a canned engine. */
const HANDLER = `
import json

class Engine:
    def initialize(self, context):
        self.config = context.model_yaml_config

    async def handle(self, data, context):
        path = context.get_request_header(0, "url_path")
        if path == "v1/models":
            return [{"object": "list", "data": [{"id": self.config["handler"]["model_path"]}]}]
        return [self.config]
`;

describe('python -m ts.llm_launcher', () => {
  let dir = '';
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'davy-llm-'));
    mkdirSync(join(dir, 'bin'));
    const torchserve = `#!/bin/sh\nexec "${process.execPath}" "${join(ROOT, 'bin', 'torchserve')}" "$@"\n`;
    writeFileSync(join(dir, 'bin', 'torchserve'), torchserve);
    chmodSync(join(dir, 'bin', 'torchserve'), 0o755);
    writeFileSync(join(dir, 'engine.py'), HANDLER);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));
  const env = (): Record<string, string> => ({
    PATH: [join(dir, 'bin'), process.env['PATH'] ?? ''].join(delimiter),
    HOME: dir,
    TMPDIR: dir,
    PYTHONPATH: join(ROOT, 'python'),
    PYTHONDONTWRITEBYTECODE: '1',
  });
  const run = (...args: string[]): { status: number | null; output: string } => {
    const options = { cwd: dir, env: env(), encoding: 'utf8', timeout: WAIT_MS } as const;
    const { status, stdout, stderr } = spawnSync(PYTHON, ['-m', 'ts.llm_launcher', ...args], options);
    return { status, output: stdout + stderr };
  };

  behaviour('12.6', 'same', '--help names every flag', () => {
    const { status, output } = run('--help');
    assert.equal(status, 0);
    for (const flag of [
      '--model_name',
      '--model_store',
      '--model_id',
      '--disable_token_auth',
      '--engine {vllm,trt_llm}',
      '--vllm_engine.max_num_seqs',
      '--vllm_engine.max_model_len',
      '--vllm_engine.download_dir',
      '--startup_timeout',
      '--dtype',
      '--trt_llm_engine.max_batch_size',
      '--trt_llm_engine.kv_cache_free_gpu_memory_fraction',
    ]) {
      assert.ok(output.includes(flag), flag);
    }
  });

  behaviour(
    '12.6',
    'absent',
    'the engines and their handlers are not part of Davy: without a handler of one’s own it says what is not installed, and starts nothing',
    () => {
      for (const [engine, name] of [
        ['vllm', 'vllm'],
        ['trt_llm', 'tensorrt_llm'],
      ] as const) {
        const { status, output } = run('--engine', engine, '--model_id', 'x/y');
        assert.equal(status, 1, output);
        assert.match(output, new RegExp(`^${name} is .*installed.*Davy brings no .*--handler FILE`));
      }
      assert.equal(existsSync(join(dir, 'model_store')), false);
    },
  );

  behaviour(
    '12.6',
    'same',
    'it writes a no-archive model with the documented YAML, serves it without snapshots, and removes it at the end',
    async () => {
      const [inference, management] = await freePorts(2);
      const settings = [
        `inference_address=http://127.0.0.1:${inference}`,
        `management_address=http://127.0.0.1:${management}`,
        'enable_metrics_api=false',
        'grpc_enabled=false',
        `python=${PYTHON}`,
        `isolation=${TEST_ISOLATION}`,
        `state_dir=${join(dir, 'state')}`,
      ];
      writeFileSync(join(dir, 'ts.properties'), `${settings.join('\n')}\n`);
      const flags = [
        '--model_name',
        'llm',
        '--model_id',
        'org/tiny',
        '--disable_token_auth',
        '--startup_timeout',
        '77',
      ];
      const engine = ['--vllm_engine.max_num_seqs', '12', '--handler', 'engine.py'];
      const child: ChildProcess = spawn(PYTHON, ['-m', 'ts.llm_launcher', ...flags, ...engine], {
        cwd: dir,
        env: { ...env(), TS_CONFIG_FILE: join(dir, 'ts.properties') },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const closed = once(child, 'close');
      let text = '';
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
      try {
        const ask = (path: string) => exchange(`http://127.0.0.1:${inference}${path}`, { method: 'POST' });
        const deadline = performance.now() + WAIT_MS;
        const isReady = async (): Promise<boolean> =>
          text.includes('Model server started') && (await ask('/predictions/llm')).status === 200;
        while (!(await isReady()) && child.exitCode === null && performance.now() < deadline) await sleep(50);
        const models = (await ask('/predictions/llm/1.0/v1/models')).json<{ data: unknown[] }>();
        assert.deepEqual(models.data, [{ id: 'org/tiny' }], text);
        const { parallelLevel, handler, ...config } = (await ask('/predictions/llm')).json<{
          parallelLevel: number;
          handler: { vllm_engine_config: Record<string, unknown> };
        }>();
        assert.deepEqual(config, {
          minWorkers: 1,
          maxWorkers: 1,
          batchSize: 1,
          maxBatchDelay: 100,
          responseTimeout: 1200,
          startupTimeout: 77,
          deviceType: 'gpu',
          asyncCommunication: true,
        });
        assert.deepEqual(handler, {
          model_path: 'org/tiny',
          dtype: 'bfloat16',
          vllm_engine_config: { max_num_seqs: 12, tensor_parallel_size: parallelLevel },
        });
        assert.ok(existsSync(join(dir, 'model_store', 'llm')));
      } finally {
        child.kill('SIGTERM');
        await closed;
        const pidFile = join(dir, '.model_server.pid');
        if (existsSync(pidFile)) process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL');
      }
      assert.equal(existsSync(join(dir, 'model_store', 'llm')), false);
      assert.equal(existsSync(join(dir, 'logs', 'config')), false);
      assert.match(text, /TorchServe|Model server started/);
    },
  );
});
