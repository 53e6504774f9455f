import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, realpath } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildZip } from '../../../test/attack/archives.ts';
import type { S3Settings } from '../../config/index.ts';
import { Fault, Secret } from '../../kernel/index.ts';
import { createModelStore } from '../index.ts';
import { removeTree } from '../models/private-directory.ts';
import { parseAllowedUrls } from './allowed-urls.ts';
import { remoteFile } from './s3.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const S3: S3Settings = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: new Secret(SECRET),
  sessionToken: undefined,
  region: 'eu-central-1',
  endpoint: undefined,
};
const { signal } = new AbortController();

async function headersFor(url: string, asksForSigning: boolean, s3: S3Settings = S3) {
  const allowed = parseAllowedUrls(['https?://.*', 's3://.*']).match(url);
  assert.ok(allowed, url);
  return await remoteFile(allowed, s3, asksForSigning);
}

test('a bucket URL is a signed request to the host of its region', async () => {
  const file = await headersFor('s3://models/team/noop.mar', false);
  assert.equal(file.url.href, 'https://models.s3.eu-central-1.amazonaws.com/team/noop.mar');
  assert.match(
    file.headers['authorization'] ?? '',
    /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/s3\//,
  );
  assert.ok(!JSON.stringify(file.headers).includes(SECRET));
  const dotted = await headersFor('s3://my.models/noop.mar', false);
  assert.equal(dotted.url.href, 'https://s3.eu-central-1.amazonaws.com/my.models/noop.mar');
});

test('the region of a host is the one that is signed for', async () => {
  for (const [host, region] of [
    ['b.s3.us-west-2.amazonaws.com', 'us-west-2'],
    ['s3-ap-south-1.amazonaws.com', 'ap-south-1'],
    ['b.s3.dualstack.eu-west-1.amazonaws.com', 'eu-west-1'],
    ['b.s3.cn-north-1.amazonaws.com.cn', 'cn-north-1'],
    ['b.s3.amazonaws.com', 'eu-central-1'],
  ] as const) {
    const { headers } = await headersFor(`https://${host}/noop.mar`, true);
    assert.ok(headers['authorization']?.includes(`/${region}/s3/`), host);
  }
});

test('a host that is not one of S3 never sees a signature, whatever the caller asks for', async () => {
  for (const host of [
    'https://models.test',
    'https://s3.amazonaws.com.evil.test',
    'https://evils3.amazonaws.com',
    'https://s3-amazonaws.com',
    'https://s3.evil.amazonaws.com',
    'https://ec2.eu-central-1.amazonaws.com',
    'https://s3.amazonaws.com:8443',
    'http://s3.amazonaws.com',
    'https://[::1]',
    'https://127.0.0.1',
  ]) {
    assert.deepEqual((await headersFor(`${host}/x.mar?X-Amz-KMS=aws:kms`, true)).headers, {}, host);
  }
  const own = { ...S3, endpoint: 'https://minio.test:9000' };
  assert.deepEqual((await headersFor('https://minio.test/x.mar', true, own)).headers, {});
  assert.deepEqual((await headersFor('http://minio.test:9000/x.mar', true, own)).headers, {});
  assert.ok((await headersFor('https://minio.test:9000/b/x.mar', true, own)).headers['authorization']);
});

test('nothing is signed without being asked, or without credentials', async () => {
  assert.deepEqual((await headersFor('https://b.s3.amazonaws.com/x.mar', false)).headers, {});
  assert.deepEqual((await headersFor('s3://models/x.mar', true, { ...S3, accessKeyId: undefined })).headers, {});
});

test('a bucket URL has a bucket and a key, and nothing else', () => {
  const allowed = parseAllowedUrls(['s3://.*']);
  for (const url of [
    's3://models',
    's3://models/',
    's3://m:9/x.mar',
    's3://u@m/x',
    's3://M_x/x.mar',
    's3:///x.mar',
    's3://models/x?versionId=1',
  ]) {
    assert.equal(allowed.match(url), null, url);
  }
  assert.equal(parseAllowedUrls(['s3://models/.*']).match('s3://models.evil/x.mar'), null);
  assert.equal(parseAllowedUrls(['https://.*']).match('s3://models/x.mar'), null);
  assert.ok(parseAllowedUrls(['s3://models/good/']).match('s3://models/good/x.mar'));
});

test('a store that verifies signatures serves the model, and a wrong key leaves nothing behind', async () => {
  const archive = buildZip([{ name: 'h.py', data: 'def handle(data, context): return data' }]);
  const hits: string[] = [];
  const server = createServer((request, response) => {
    hits.push(request.url ?? '');
    if (isSigned(request, SECRET, 'eu-central-1')) response.end(archive);
    else response.writeHead(403).end('<Error><Code>SignatureDoesNotMatch</Code></Error>');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const root = await realpath(await mkdtemp(join(tmpdir(), 'davy-s3-')));
  try {
    await mkdir(join(root, 'store'));
    const open = (s3: S3Settings) =>
      createModelStore({
        modelStores: [join(root, 'store')],
        stateDir: join(root, 'state'),
        allowedUrls: ['s3://models/.*'],
        inspect: async () => ({ isAllowed: true, findings: [] }),
        s3,
      });
    const refusing = await open({ ...S3, endpoint, secretAccessKey: new Secret('wrong') });
    await assert.rejects(
      refusing.admit('s3://models/a b/noop.mar', signal),
      (thrown) => thrown instanceof Fault && thrown.code === 'source_not_allowed',
    );
    await assert.rejects(
      refusing.admit('s3://models/a%20b/noop.mar', signal),
      (thrown) => thrown instanceof Fault && thrown.code === 'download_failed' && !thrown.message.includes('127.0.0.1'),
    );
    assert.deepEqual(await readdir(join(root, 'store')), []);
    const store = await open({ ...S3, endpoint, sessionToken: new Secret('token') });
    const model = await store.admit('s3://models/a%20b/noop.mar', signal);
    assert.deepEqual(model.files, ['h.py']);
    await store.release(model);
    assert.deepEqual(hits, ['/models/a%20b/noop.mar', '/models/a%20b/noop.mar']);
  } finally {
    server.closeAllConnections();
    server.close();
    await removeTree(root);
  }
});

/** Signature Version 4 as Amazon describes it, written independently of the library that signs. */
function isSigned({ url = '', method = '', headers }: IncomingMessage, secret: string, region: string): boolean {
  const match =
    /Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    );
  if (match === null) return false;
  const [, , day, signedRegion, names, given] = match as unknown as readonly string[];
  const signed = names!.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const canonical = [method, url, '', signed.join(''), names, headers['x-amz-content-sha256']].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, createHash('sha256').update(canonical).digest('hex')];
  const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest();
  const key = ['s3', 'aws4_request'].reduce(hmac, hmac(hmac(`AWS4${secret}`, day!), region));
  return signedRegion === region && hmac(key, text.join('\n')).toString('hex') === given;
}
