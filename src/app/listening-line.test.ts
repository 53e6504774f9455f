import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSettings } from '../config/index.ts';
import { listeningLine } from './listening-line.ts';

const FACTS = { cwd: '/srv', tempDir: '/tmp', stateHome: '/state', pathExists: () => true };

test('one line says where the server listens and where its keys are', () => {
  const line = listeningLine(settings([]));
  assert.equal(
    line,
    'Listening: inference http://127.0.0.1:8080, management http://127.0.0.1:8081, metrics http://127.0.0.1:8082, ' +
      'gRPC 127.0.0.1:7070 (inference), 127.0.0.1:7071 (management). The keys are in /srv/key_file.json.',
  );
});

test('it names a combined listener once, and says when no key is asked for', () => {
  const line = listeningLine(
    settings(['management_address=http://127.0.0.1:8080', 'disable_token_authorization=true', 'enable_grpc=false']),
  );
  assert.match(
    line,
    /^Listening: inference and management http:\/\/127\.0\.0\.1:8080, metrics .*\. No key is asked for\.$/,
  );
});

function settings(lines: readonly string[]) {
  const file = { name: 'config.properties', text: `model_store=/models\n${lines.join('\n')}\n` };
  return loadSettings({ file, flags: new Map(), env: {} }, FACTS);
}
