// The URL rows: references that must be refused at every door. Nobody but the allowed host may be asked for anything.

export interface Places {
  /** Port of the one host that the server's `allowed_urls` names, below `/good/`. */
  readonly allowed: number;
  /** Port of a host that nobody may call. */
  readonly internal: number;
  /** The model store. It holds `link.mar` and `linked`, two links that lead out of it, and `holds-link`, a model with one in it. */
  readonly store: string;
  /** A folder outside the store, with a perfectly good `evil.mar`. */
  readonly outside: string;
}

export interface HostileUrl {
  readonly row: string;
  readonly url: string;
}

/** Stands in every answer of the allowed host, and in signed URLs: it must be found nowhere. */
export const SECRET = 'SECRET-IMDS-01';

export function hostileUrls({ allowed, internal, store, outside }: Places): readonly HostileUrl[] {
  const own = `127.0.0.1:${allowed}`;
  const spellings = [
    '127.0.0.1', 'localhost', '0', '0.0.0.0', '2130706433', '0177.0.0.1', '0x7f.1', '0x7f000001', '127.1', '127.0.0.1.', '①27.0.0.1', '127。0。0。1',
    '[::1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]',
  ]; // prettier-ignore
  const rows: Readonly<Record<string, readonly string[]>> = {
    // Redirects off the list, and what only clouds answer.
    'URL-02': [
      `http://${own}/good/redirect.mar`,
      'http://169.254.169.254/latest/meta-data/x.mar',
      'http://metadata.google.internal/x.mar',
      'http://[fd00:ec2::254]/x.mar',
    ],
    'URL-03': spellings.flatMap((host) => [
      `http://${host}:${internal}/good/x.mar`,
      `HTTP://${host}:${internal}/good/x.mar`,
    ]),
    'URL-04': [`http://${own}/bad/ok.mar`, `https://${own}/good/ok.mar`],
    // A name that the list allows, but which resolves to nothing here, or to an address that a name may not have.
    'URL-05': [`http://models.test:${allowed}/x.mar`, `http://localhost:${allowed}/x.mar`],
    'URL-06': [
      `http://${own}@127.0.0.1:${internal}/good/x.mar`,
      `http://user:pass@${own}/good/ok.mar`,
      `http://127.0.0.1:${internal}/http://${own}/good/ok.mar`,
      `http://127.0.0.1:${internal}#@${own}/good/ok.mar`,
      `http://127.0.0.1:${internal}?@${own}/good/ok.mar`,
    ],
    'URL-07': [
      `http://${own}.evil.test/good/ok.mar`,
      `http://127-0-0-1:${allowed}/good/ok.mar`,
      `http://models-test:${allowed}/x.mar`,
      `http://models.test.evil:${allowed}/x.mar`,
      `http://models.test:${allowed}.evil/x.mar`,
      `http://models.test:${allowed}0/x.mar`,
    ],
    'URL-08': [
      `http://${own}/good/../bad/ok.mar`,
      `http://${own}/good/%2e%2e/bad/ok.mar`,
      `http://${own}/good/%252e%252e/bad/404.mar`,
      `http://${own}/good/..%2fbad/ok.mar`,
      `http://${own}/good/%00.mar`,
      `http://${own}\\@127.0.0.1:${internal}/good/x.mar`,
      `http://${own}/good/ok.mar\r\nHost: x`,
      `http://${own}/good/ok.mar\t`,
      ` http://${own}/good/ok.mar`,
      `http:\\\\${own}\\good\\ok.mar`,
      `http:/${own}/good/ok.mar`,
      `http:${own}/good/ok.mar`,
      `http:///${own}/good/ok.mar`,
    ],
    'URL-09': [
      'file://127.0.0.1:2121/x.mar', 'file://host/x', 'file://localhost/etc/passwd', 'file:///etc/passwd', 'FILE:/etc', 'file:/etc/passwd', 'file:etc',
      'netdoc:/x', 'jar:http://h/x!/', 'ftp://h/x.mar', 'gopher://h/x', 'dict://h/x', 'ldap://h/x', 'data:text/plain;x', 'blob:x', 'javascript:1',
      's3://bucket/x.mar', 'gs://bucket/x.mar', 'hf://x/y', `file://${outside}/evil.mar`, `file://${store}/../x.mar`, `file://${store}/%2e%2e/x.mar`,
      `file://${store}/link.mar`, `file://${store}`,
    ], // prettier-ignore
    'URL-10': [
      join(outside, 'evil.mar'), outside, '/etc', '/proc/self/environ', '/proc/self/cwd', '/proc/self/fd/0', '/dev/zero', '/dev/stdin',
      '../evil.mar', 'a/../../evil.mar', '..', '.', './', '/', '//', '~', '-', '\\\\host\\share\\x.mar', 'x'.repeat(9000), 'a/'.repeat(3000), '\u202e',
    ], // prettier-ignore
    'URL-11': ['link.mar', 'linked', 'linked/evil.mar', 'linked/.', './link.mar', 'holds-link', join(store, 'link.mar')],
    'URL-13': [
      `http://${own}/good/html.mar`,
      `http://${own}/good/html.tar.gz?sig=${SECRET}`,
      `http://${own}/good/404.mar`,
      `http://${own}/good/`,
      `http://${own}/good/.mar`,
      `http://${own}/good/-.mar?${SECRET}`,
    ],
    'URL-18': ['s3://other/x.mar', 's3://models.evil/x.mar', 's3://models@other/x.mar', 's3://models/', 'S3://other/x.mar'],
  }; // prettier-ignore
  return Object.entries(rows).flatMap(([row, urls]) => urls.map((url) => ({ row, url })));
}

/** What only a request can carry: a command line and a list in the configuration cannot. */
export const REQUEST_ONLY: readonly HostileUrl[] = [
  { row: 'URL-10', url: '' },
  { row: 'URL-10', url: '\0' },
  { row: 'URL-10', url: 'good.mar\0.txt' },
  { row: 'URL-09', url: 'data:text/plain,x' },
];

const join = (folder: string, name: string): string => `${folder}/${name}`;
