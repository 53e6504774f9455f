// Starts that must fail: the reason is said once, and nothing of the server stays behind.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { makeModelStore } from '../support/model-store.ts';
import { freePorts } from '../support/real-server.ts';

const BIN = join(import.meta.dirname, '..', '..', 'bin', 'davy');
const PORT_KEYS = [
  'inference_address',
  'management_address',
  'metrics_address',
  'grpc_inference_port',
  'grpc_management_port',
];
const LIMIT_MS = 20_000;

describe('a start', () => {
  for (const taken of ['metrics_address', 'grpc_inference_port', 'grpc_management_port']) {
    it(`with a taken ${taken} says so and ends`, async () => {
      using store = makeModelStore();
      const dir = mkdtempSync(join(tmpdir(), 'davy-start-'));
      const squatter = createServer().listen(0, '127.0.0.1');
      await once(squatter, 'listening');
      const { port } = squatter.address() as AddressInfo;
      const free = await freePorts(PORT_KEYS.length);
      const settings = PORT_KEYS.map((key, index) => {
        const number = key === taken ? port : free[index];
        return key.endsWith('_port') ? `${key}=${number}` : `${key}=http://127.0.0.1:${number}`;
      });
      const args = ['serve', '--model-store', store.dir, '--isolation', 'none', '--pid-file', join(dir, 'pid')];
      const child = spawn(process.execPath, [BIN, ...args, '--set', ...settings, `state_dir=${join(dir, 'state')}`], {
        cwd: dir,
        env: { PATH: process.env['PATH'] ?? '', HOME: dir, TMPDIR: dir },
        stdio: ['ignore', 'pipe', 'ignore'],
        timeout: LIMIT_MS,
      });
      try {
        let text = '';
        child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        const [code] = (await once(child, 'close')) as [number | null];
        assert.equal(code, 1, text);
        assert.match(text, new RegExp(`^Invalid configuration: Failed to bind to address: .*:${port}`, 'm'));
        assert.deepEqual(
          ['pid', 'key_file.json', 'state/lock', 'logs/config'].filter((name) => existsSync(join(dir, name))),
          [],
        );
      } finally {
        squatter.close();
        rmSync(dir, { recursive: true, force: true });
      }
    });
  }
});
