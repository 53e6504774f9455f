import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { displayUrl, Fault } from '../../kernel/index.ts';
import { classifyAddress } from './address-policy.ts';
import { parseAllowedUrls } from './allowed-urls.ts';

const allows = (entries: string, url: string): boolean => parseAllowedUrls([entries]).match(url) !== null;

test('without entries no URL is allowed', () => {
  for (const url of ['http://a/x.mar', 'https://a/x.mar', 'file:///x.mar']) assert.equal(allows('', url), false);
});

test('TorchServe’s default and its documented forms keep their meaning', () => {
  const open = 'file://.*|http(s)?://.*';
  for (const url of ['http://a/x.mar', 'https://a:8443/b/x.mar?q=1', 'file:///store/x.mar', 'HTTPS://A/X.MAR']) {
    assert.ok(allows(open, url), url);
    assert.ok(allows(`(${open})`, url), url);
  }
  assert.ok(
    allows(
      'https://s3.amazonaws.com/.*,https://torchserve.pytorch.org/.*',
      'https://torchserve.pytorch.org/mar_files/x.mar',
    ),
  );
  assert.ok(allows('https://s3\\.amazonaws\\.com/.*', 'https://s3.amazonaws.com/b/x.mar?X-Amz=1'));
  assert.ok(allows('https://.*\\.amazonaws\\.com/.*', 'https://bucket.s3.amazonaws.com/x.mar'));
  assert.ok(allows('https://models.corp.*', 'https://models.corp/x.mar'));
  assert.ok(allows('https://(a|b).example.com/m/[a-z]+.mar', 'https://b.example.com/m/x.mar'));
  assert.ok(allows('https://[^/]+/models/.*', 'https://anything.example/models/x.mar'));
  assert.ok(allows('http://[::1]:9001/.*', 'http://[0:0:0:0:0:0:0:1]:9001/x.mar'));
});

test('an entry that ends in a slash allows what lies below it', () => {
  const entry = 'https://models.test:9001/good/';
  assert.ok(allows(entry, 'https://models.test:9001/good/x.mar'));
  assert.equal(allows(entry, 'https://models.test:9001/goodx.mar'), false);
});

test('no spelling of another place passes', () => {
  const entry = 'https://models.test:9001/good/,https://s3.amazonaws.com/.*,http://10.0.0.1/.*';
  const evil = [
    'https://models-test:9001/good/x',
    'https://modelsxtest:9001/good/x',
    'https://models.test.evil:9001/good/x',
    'https://models.test:9001.evil/good/x',
    'https://models.test/good/x',
    'https://models.test:9002/good/x',
    'http://models.test:9001/good/x',
    'https://models.test:9001/bad/x',
    'https://models.test:9001/good/%2e%2e/bad/x',
    'https://models.test:9001/good/%2E%2E%2Fbad/x',
    'https://models.test:9001/good/a%2fb',
    'https://models.test:9001/good/a%5cb',
    'https://models.test:9001/good/x%00.mar',
    'https://models.test:9001@evil.test/good/x',
    'https://models.test:9001\\@evil.test/good/x',
    'https://evil.test/?https://models.test:9001/good/x',
    'https://evil.test/#https://models.test:9001/good/x',
    'https://user:pw@models.test:9001/good/x',
    'https://@models.test:9001/good/x',
    'https:/\\models.test:9001/good/x',
    'https:models.test:9001/good/x',
    'https:///models.test:9001/good/x',
    ' https://models.test:9001/good/x',
    'https://models.test:9001/good/x\n',
    'https://mod\tels.test:9001/good/x',
    'https://models.test\u3002evil:9001/good/x',
    'https://s3-amazonaws.com/x.mar',
    'https://s3.amazonaws.com.evil.test/x.mar',
    'https://s3.amazonaws.com:8443/x.mar',
    'https://evil.test/s3.amazonaws.com/x.mar',
    'ftp://s3.amazonaws.com/x.mar',
    'file://models.test:9001/good/x',
    'file:///etc/passwd',
    'jar:https://s3.amazonaws.com/x.mar!/',
    'data:text/plain,x',
    'netdoc:/x',
    's3://bucket/x.mar',
    'http://10.0.0.10/x.mar',
    'http://127.0.0.1/x.mar',
    `https://s3.amazonaws.com/${'x'.repeat(10_000)}`,
  ];
  for (const url of evil) assert.equal(allows(entry, url), false, url);
});

test('a file URL with a host is never allowed', () => {
  for (const url of ['file://127.0.0.1:2121/x.mar', 'file://host/x', 'FILE:/etc', 'file:/etc/passwd']) {
    assert.equal(allows('file://.*', url), false, url);
  }
  assert.ok(allows('file:///models/.*', 'file:///models/x.mar'));
  assert.equal(allows('file:///models/.*', 'file:///etc/x.mar'), false);
});

test('an entry tells whether it names the host literally', () => {
  const literal = (entry: string, url: string) => parseAllowedUrls([entry]).match(url)?.isLiteralHost;
  assert.equal(literal('http://localhost:9001/.*', 'http://localhost:9001/x'), true);
  assert.equal(literal('http://127.0.0.1/.*', 'http://2130706433/x'), true);
  assert.equal(literal('http://.*', 'http://localhost/x'), false);
  assert.equal(literal('http://.*.corp/.*', 'http://a.corp/x'), false);
});

test('an entry that cannot be taken apart stops the start', () => {
  for (const entry of ['.*', 'gs://.*', 'models.corp', 'https://[/.*', 'ftp://x/.*', '.*://x/.*|(']) {
    const isConfiguration = (thrown: unknown) => thrown instanceof Fault && thrown.code === 'invalid_configuration';
    assert.throws(() => parseAllowedUrls([entry]), isConfiguration, entry);
  }
});

test('malformed URLs are told apart only where every host is allowed', () => {
  const urls = parseAllowedUrls(['file://.*|http(s)?://.*']);
  assert.equal(urls.matchesMalformed('http://localhost:aaaa'), true);
  assert.equal(parseAllowedUrls(['http://a/.*']).matchesMalformed('http://localhost:aaaa'), false);
});

test('any URL text is matched or not, without a crash, and a literal entry matches only its own host', () => {
  const urls = parseAllowedUrls(['https://models.test:9001/good/']);
  const pieces = fc.constantFrom(
    'https://',
    'models',
    '.',
    'test',
    ':9001',
    '/good/',
    '@',
    '\\',
    '%2e',
    '..',
    '#',
    '?',
    'x',
    '/',
    '[',
    '\n',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const found = urls.match(parts.join(''));
      if (found !== null) assert.ok(found.url.href.startsWith('https://models.test:9001/good/'), found.url.href);
    }),
    { numRuns: 500 },
  );
});

test('addresses fall into the right class, however they are spelled', () => {
  const classes = {
    public: ['8.8.8.8', '1.1.1.1', '172.32.0.1', '2606:4700::1111', '2a00:1450:4001::1'],
    internal: [
      '127.0.0.1',
      '127.8.9.10',
      '10.1.2.3',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
      '100.64.0.1',
      '198.18.0.1',
      '::1',
      'fc00::1',
      'fd12::1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '::ffff:8.8.8.8',
      '64:ff9b::a9fe:a9fe',
      '2002:7f00:1::',
      '2001:0:1::1',
      '::7f00:1',
      'fec0::1',
    ],
    forbidden: [
      '0.0.0.0',
      '0.1.2.3',
      '169.254.169.254',
      '100.100.100.200',
      '224.0.0.1',
      '255.255.255.255',
      '::',
      'fe80::1',
      'ff02::1',
      'fd00:ec2::254',
      '::ffff:169.254.169.254',
      '::ffff:a9fe:a9fe',
      '::ffff:0.0.0.0',
    ],
  };
  for (const [kind, addresses] of Object.entries(classes)) {
    for (const address of addresses) assert.equal(classifyAddress(address), kind, address);
  }
});

test('what is shown of a URL holds no query, fragment or userinfo', () => {
  assert.equal(displayUrl('https://user:pw@h/x.mar?sig=SECRET#frag'), 'https://h/x.mar');
  assert.equal(displayUrl('https://user:p@w@h/x.mar'), 'https://h/x.mar');
  assert.equal(displayUrl('m=https://user:pw@h/x.mar?SECRET'), 'm=https://h/x.mar');
  for (const plain of ['noop.mar', 'm=noop.mar', 's3://b/k@1']) assert.equal(displayUrl(plain), plain);
});
