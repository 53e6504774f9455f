import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Fault } from '../kernel/index.ts';
import { parseRequirements } from './requirements.ts';
import { bestWheel, installedName, parseWheelName } from './wheel.ts';

const HASH = 'a'.repeat(64);
const OTHER = 'B'.repeat(64);

const refused = (text: string): void => {
  assert.throws(
    () => parseRequirements(text),
    (error) => error instanceof Fault && error.code === 'invalid_model',
    text,
  );
};

describe('a requirements file', () => {
  test('is read as lock tools write it', () => {
    const text = [
      '# generated',
      'Some_Package[extra]==1.2.post1 ; python_version >= "3.9" \\',
      `    --hash=sha256:${HASH} \\`,
      `    --hash=sha256:${OTHER}`,
      '    # via something',
      `plain==2 --hash=sha256:${HASH}  # why`,
    ].join('\r\n');
    assert.deepEqual(parseRequirements(text), [
      {
        name: 'some-package',
        version: '1.2.post1',
        marker: 'python_version >= "3.9"',
        hashes: [HASH, OTHER.toLowerCase()],
      },
      { name: 'plain', version: '2', marker: undefined, hashes: [HASH] },
    ]);
  });

  test('is refused where anything is not pinned by version and hash, or is an option of pip', () => {
    const hash = `--hash=sha256:${HASH}`;
    for (const line of [
      'numpy',
      'numpy==2.0',
      `numpy>=2.0 ${hash}`,
      `numpy==2.* ${hash}`,
      `numpy==2.0 --hash=md5:${HASH}`,
      `numpy==2.0 --hash=sha256:${HASH.slice(1)}`,
      `numpy @ https://host/numpy.whl ${hash}`,
      `--index-url https://evil.example numpy==2.0 ${hash}`,
      `numpy==2.0 ${hash} --index-url=https://evil.example`,
      '-r other.txt',
      '-e .',
      '--extra-index-url https://evil.example',
      '--no-binary :all:',
      './local.whl',
      `../../x==1 ${hash}`,
    ])
      refused(line);
  });

  test('is refused where a package is there twice', () => {
    refused(`a-b==1 --hash=sha256:${HASH}\nA_B==2 --hash=sha256:${HASH}`);
  });

  test('is never misread: whatever comes out is pinned, and bad text is refused in time', () => {
    const piece = fc.constantFrom(
      'a',
      '==',
      '1',
      ' ',
      '\n',
      '\\',
      '#',
      ';',
      `--hash=sha256:${HASH}`,
      '[',
      ']',
      '--x',
      '\r',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        try {
          for (const { name, version, hashes } of parseRequirements(pieces.join(''))) {
            assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/);
            assert.match(version, /^[\w.+!-]+$/);
            assert.ok(hashes.length > 0 && hashes.every((hash) => /^[0-9a-f]{64}$/.test(hash)));
          }
        } catch (error) {
          assert.ok(error instanceof Fault && error.code === 'invalid_model');
        }
      }),
    );
    const started = performance.now();
    refused(`a==1 ;${' '.repeat(100_000)}x`);
    refused(`a==1${` --hash=sha256:${HASH}`.repeat(2000)} !`);
    assert.ok(performance.now() - started < 1000);
  });
});

describe('a wheel', () => {
  test('stands for every combination in its name', () => {
    assert.deepEqual(parseWheelName('Six.Pack-1.0-py2.py3-none-any.whl'), {
      project: 'six-pack',
      version: '1.0',
      tags: ['py2-none-any', 'py3-none-any'],
    });
    for (const name of ['six-1.0.tar.gz', '../six-1.0-py3-none-any.whl', 'six.whl', '']) {
      assert.equal(parseWheelName(name), null, name);
    }
  });

  test('is chosen by what the interpreter likes best, and never for another project', () => {
    const tags = new Map([
      ['cp311-cp311-linux_x86_64', 0],
      ['py3-none-any', 1],
    ]);
    const files = ['a-1-py3-none-any.whl', 'a-1-cp311-cp311-linux_x86_64.whl', 'a-1-cp310-cp310-win32.whl'].map(
      (fileName) => ({ fileName }),
    );
    const a1 = { name: 'a', version: '1' };
    assert.equal(bestWheel(files, a1, tags)?.fileName, 'a-1-cp311-cp311-linux_x86_64.whl');
    assert.equal(bestWheel(files.slice(2), a1, tags), undefined);
    assert.equal(bestWheel(files, { name: 'b', version: '1' }, tags), undefined);
  });

  test('is of the version that was asked for, however that is spelled', () => {
    const fits = (file: string, version: string): boolean =>
      bestWheel(
        [{ fileName: `a-${file}-py3-none-any.whl` }],
        { name: 'a', version },
        new Map([['py3-none-any', 0]]),
      ) !== undefined;
    for (const [file, version] of [
      ['1.0', '1'],
      ['1', '1.0.0'],
      ['2.1.0+cpu', '2.1.0+CPU'],
      ['2.1.0_cpu', '2.1+cpu'],
      ['1.0.post1', '1.0.0.post1'],
      ['1.10', '1.10'],
      ['1.0rc1', 'v1.0rc1'],
    ] as const)
      assert.ok(fits(file, version), `${file} ${version}`);
    for (const [file, version] of [
      ['1.1', '1.10'],
      ['1.0', '1.0.1'],
      ['1.0', '10'],
      ['1.0.1', '1.1'],
      ['1.0.post1', '1.0'],
    ] as const)
      assert.ok(!fits(file, version), `${file} ${version}`);
  });

  test('is spread as the specification says, without its scripts', () => {
    assert.equal(installedName('pkg/__init__.py'), 'pkg/__init__.py');
    assert.equal(installedName('pkg-1.data/purelib/pkg/x.py'), 'pkg/x.py');
    assert.equal(installedName('pkg-1.data/scripts/run'), null);
    assert.equal(installedName('pkg-1.data/file'), null);
  });
});
