// The `scanners` key: a JSON list with one object for each scanner that looks at every model before it is loadable.
import { z } from 'zod';
import { Fault, type Secret } from '../kernel/index.ts';
import type { ScannerSettings } from './settings.ts';
import { refuse, type ValueParser } from './value.ts';

/** Keys that hold what must not stand in the list itself. */
export interface ScannerSecrets {
  readonly virusTotalKey: Secret | undefined;
  readonly httpToken: Secret | undefined;
}

/** The list as written, checked as far as it can be by itself. */
export const scannerList: ValueParser<readonly ScannerEntry[]> = {
  syntax: 'JSON list of objects with a `kind`',
  parse(text, site) {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      throw refuse(site, 'must be a JSON list, for example [{"kind":"clamd","socket":"/run/clamav/clamd.ctl"}].');
    }
    const parsed = LIST.safeParse(json);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      throw refuse(site, `is no list of scanners: ${[...(issue?.path ?? []), issue?.message].join(': ')}.`);
    }
    const names = parsed.data.map(nameOf);
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined) throw refuse(site, `has two scanners called ${twice}; give each a "name" of its own.`);
    return parsed.data;
  },
};

/** With the values of other keys. `place` is the key's, for messages. Throws `invalid_configuration`. */
export function resolveScanners(
  entries: readonly ScannerEntry[],
  place: string,
  secrets: ScannerSecrets,
): readonly ScannerSettings[] {
  return entries.map((entry) => resolve(entry, place, secrets));
}

const MIB = 1024 * 1024;
const EXTENSIONS = z.array(z.string().regex(/^[a-z0-9]+$/, 'extensions are written in lower case without the dot'));
const COMMON = {
  name: z
    .string()
    .regex(/^[\w-]{1,40}$/, 'a name has letters, digits, _ and -')
    .optional(),
  mode: z.enum(['required', 'advisory']).default('required'),
  timeoutSec: z.number().positive().max(3600).default(60),
  only: EXTENSIONS.optional(),
  skip: EXTENSIONS.default([]),
  unknown: z.enum(['deny', 'allow']).default('deny'),
};
const VERDICT = { field: z.string().min(1).default('verdict'), clean: z.string().min(1).default('clean') };

/** Secrets have keys of their own: this list is shown by `davy config`. */
const SERVICE = z
  .url({ protocol: /^https?$/ })
  .refine((url) => !/^[^/]*\/\/[^/]*@/.test(url), 'a URL without user and password');

const ENTRY = z.discriminatedUnion('kind', [
  z
    .strictObject({
      kind: z.literal('clamd'),
      ...COMMON,
      socket: z.string().startsWith('/', 'the socket is an absolute path').optional(),
      host: z.string().min(1).default('127.0.0.1'),
      port: z.number().int().min(1).max(65_535).optional(),
      // As far as clamd looks by default (MaxFileSize).
      maxBytes: z
        .number()
        .int()
        .positive()
        .default(100 * MIB),
    })
    .refine(({ socket, port }) => (socket === undefined) !== (port === undefined), 'give either a socket or a port'),
  z.strictObject({
    kind: z.literal('virustotal'),
    ...COMMON,
    minDetections: z.number().int().min(1).default(1),
    endpoint: SERVICE.default('https://www.virustotal.com/api/v3/'),
  }),
  z.strictObject({
    kind: z.literal('executable'),
    ...COMMON,
    ...VERDICT,
    argv: z
      .array(z.string())
      .min(1)
      .refine(([program]) => program?.startsWith('/'), 'the program is an absolute path')
      .refine((argv) => argv.slice(1).some((arg) => arg.includes('{file}')), 'one argument must contain {file}'),
  }),
  z.strictObject({ kind: z.literal('http'), ...COMMON, ...VERDICT, url: SERVICE }),
]);
const LIST = z.array(ENTRY).max(16);

export type ScannerEntry = z.infer<typeof ENTRY>;

const nameOf = ({ name, kind }: ScannerEntry): string => name ?? kind;

function resolve(entry: ScannerEntry, place: string, secrets: ScannerSecrets): ScannerSettings {
  const common = {
    name: nameOf(entry),
    isRequired: entry.mode === 'required',
    timeoutMs: entry.timeoutSec * 1000,
    only: entry.only,
    skip: entry.skip,
    allowsUnknown: entry.unknown === 'allow',
  };
  switch (entry.kind) {
    case 'clamd': {
      const { kind, maxBytes, socket, host, port } = entry;
      return { ...common, kind, maxBytes, address: socket === undefined ? { host, port: port! } : { path: socket } };
    }
    case 'virustotal': {
      const { kind, minDetections, endpoint } = entry;
      const apiKey = secrets.virusTotalKey;
      if (apiKey !== undefined)
        return { ...common, kind, apiKey, minDetections, endpoint: endpoint.replace(/\/*$/, '/') };
      throw new Fault('invalid_configuration', `${place} has VirusTotal, which needs virustotal_api_key.`);
    }
    case 'executable': {
      const { kind, argv, field, clean } = entry;
      return { ...common, kind, argv, field, clean };
    }
    case 'http': {
      const { kind, url, field, clean } = entry;
      return { ...common, kind, url, field, clean, token: secrets.httpToken };
    }
  }
}
