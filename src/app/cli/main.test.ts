import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { refusal } from './client.ts';
import { main } from './main.ts';

describe('the words of davy', () => {
  const say = async (...args: readonly string[]) => {
    const said: string[] = [];
    const output = { write: (chunk: string | Uint8Array) => void said.push(String(chunk)) };
    const io = { stdin: Readable.from([]), stdout: output, stderr: output, env: {}, cwd: '/' };
    return { status: await main(args, io), text: said.join('') };
  };

  test('ask for its version alone, not for that of a model', async () => {
    assert.match((await say('--version')).text, /^Davy \d+\.\d+\.\d+ \(TorchServe 0\.12\.0\)$/m);
    const { status, text } = await say('archive', '--version', '1.0');
    assert.equal(status, 2);
    assert.match(text, /--model-name/);
  });

  test('explain themselves, every one of them, with --help', async () => {
    const waiting: (readonly string[])[] = [[]];
    let told = 0;
    for (let words = waiting.shift(); words !== undefined; words = waiting.shift()) {
      const { status, text } = await say(...words, '--help');
      assert.equal(status, 0);
      assert.ok(text.startsWith(`Usage: davy ${words.join(' ')}`), text);
      told += 1;
      const commands = /^Commands:\n((?: {2}.*\n?)+)/m.exec(text)?.[1] ?? '';
      for (const [, name = ''] of commands.matchAll(/^ {2}([a-z][\w-]*)/gm))
        if (name !== 'help') waiting.push([...words, name]);
    }
    assert.ok(told >= 20, String(told));
  });

  test('say which file cannot be read, in one line', async () => {
    const { status, text } = await say('convert', '/nowhere/model.pt');
    assert.deepEqual([status, text], [1, '/nowhere/model.pt: no such file or directory\n']);
  });
});

test('workers that did not start send their operator to the log', () => {
  const answer = JSON.stringify({ type: 'InternalServerException', message: 'Failed to start workers for model m' });
  const call = { method: 'POST', path: '/models?url=m.mar', key: 'management' } as const;
  assert.match(refusal(500, answer, call, 'key_file.json').message, /server’s log: .*could not load the model/);
});
