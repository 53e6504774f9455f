// Parsers of single values: text of one key in, typed value out, or an error that names the place (surface spec 7.4).
import { Fault, Secret } from '../kernel/index.ts';
import { resolve } from 'node:path';
import { type Plane, parseAddress } from './address.ts';
import type { Address, Origin } from './settings.ts';

/** What a parser may know beside the text. */
export interface ValueSite {
  readonly key: string;
  readonly origin: Origin;
  /** Directory that relative paths start from. */
  readonly cwd: string;
  /** Adds a line for the operator; the value still counts. */
  warn(line: string): void;
}

export interface ValueParser<T> {
  /** What may be written, for the documentation. */
  readonly syntax: string;
  parse(text: string, site: ValueSite): T;
}

/** `job_queue_size at config.properties:3`, for messages. */
export const siteName = ({ key, origin }: ValueSite): string =>
  origin.where === '' ? key : `${key} at ${origin.where}`;

export function refuse(site: ValueSite, problem: string): Fault {
  return new Fault('invalid_configuration', `${siteName(site)} ${problem}`);
}

/** TorchServe's reading: only `true`, in any case, is true; anything else is false and, unless it says `false`, gets a warning. */
export const javaBoolean: ValueParser<boolean> = {
  syntax: '`true` or `false`',
  parse(text, site) {
    const word = text.toLowerCase();
    if (word !== 'true' && word !== 'false') {
      site.warn(`${siteName(site)} is read as false: ${JSON.stringify(text)} is neither true nor false.`);
    }
    return word === 'true';
  },
};

/** For Davy's own switches, where nobody relies on a typo being false. */
export const strictBoolean: ValueParser<boolean> = {
  syntax: '`true` or `false`',
  parse(text, site) {
    const word = text.toLowerCase();
    if (word === 'true' || word === 'false') return word === 'true';
    throw refuse(site, `must be true or false, found ${JSON.stringify(text)}.`);
  },
};

/** The property is a boolean, but the environment variable says `oip` (surface spec 2.9). */
export const oipSwitch: ValueParser<boolean> = {
  syntax: '`true` or `false`; in the environment `oip`',
  parse: (text, site) => (site.origin.source === 'env' ? text === 'oip' : javaBoolean.parse(text, site)),
};

/** Java's `Integer.parseInt`: no blanks, 32 bits. */
export function integer(min: number, max = 2 ** 31 - 1): ValueParser<number> {
  return {
    syntax: max === 2 ** 31 - 1 ? `integer, ${min} or more` : `integer, ${min} to ${max}`,
    parse(text, site) {
      if (!/^[+-]?\d+$/.test(text)) throw refuse(site, `must be an integer, found ${JSON.stringify(text)}.`);
      const value = Number(text);
      if (value >= min && value <= max) return value;
      throw refuse(site, `must be between ${min} and ${max}, found ${text}.`);
    },
  };
}

/** A count of bytes: a plain integer, or one followed by k, m or g (powers of 1024). */
export const byteCount: ValueParser<number> = {
  syntax: 'bytes, or a number followed by `k`, `m` or `g`',
  parse(text, site) {
    const match = /^(\d{1,12})([kmg]?)$/i.exec(text);
    if (match === null) throw refuse(site, `must be a size such as 1048576 or 256m, found ${JSON.stringify(text)}.`);
    const power = ['', 'k', 'm', 'g'].indexOf((match[2] ?? '').toLowerCase());
    return Number(match[1]) * 1024 ** power;
  },
};

/** Unreadable text means 60, with TorchServe's words (surface spec 6.1). Never "for ever". */
export const tokenLifetime: ValueParser<number> = {
  syntax: 'minutes, may have a fraction',
  parse(text, site) {
    const value = /^\d+(\.\d*)?$|^\.\d+$/.test(text.trim()) ? Number(text) : 0;
    if (value > 0) return value;
    site.warn(`Token expiration not a valid integer: ${siteName(site)} is ${JSON.stringify(text)}, 60 is used.`);
    return 60;
  },
};

export const cpuBudget: ValueParser<number | 'auto'> = {
  syntax: '`auto` or a number of CPUs, may have a fraction',
  parse(text, site) {
    if (text === 'auto') return 'auto';
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
    if (value > 0) return value;
    throw refuse(site, `must be auto or a number of CPUs above 0, found ${JSON.stringify(text)}.`);
  },
};

export function oneOf<const W extends string>(...words: readonly W[]): ValueParser<W> {
  return {
    syntax: words.map((word) => `\`${word}\``).join(', '),
    parse(text, site) {
      const word = words.find((candidate) => candidate === text);
      if (word !== undefined) return word;
      throw refuse(site, `must be one of ${words.join(', ')}, found ${JSON.stringify(text)}.`);
    },
  };
}

/** Blanks around it and case do not count; anything unknown means `log` (surface spec 4.2). */
export const metricsMode: ValueParser<'log' | 'prometheus' | 'legacy'> = {
  syntax: '`log`, `prometheus` or `legacy`',
  parse(text, site) {
    const word = text.trim().toLowerCase();
    if (word === 'log' || word === 'prometheus' || word === 'legacy') return word;
    site.warn(`${siteName(site)} is ${JSON.stringify(text)}, which is no metrics mode; log is used.`);
    return 'log';
  },
};

export const plainText: ValueParser<string> = { syntax: 'text', parse: (text) => text };

export const secretText: ValueParser<Secret> = { syntax: 'text, never printed', parse: (text) => new Secret(text) };

/** Scheme, host and port of a web service. */
export const origin: ValueParser<string> = {
  syntax: '`https://host` or `http://host:port`',
  parse(text, site) {
    const url = URL.parse(text);
    const isOrigin = url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
    if (isOrigin && url.pathname === '/' && url.search === '' && url.hash === '') return url.origin;
    throw refuse(site, `must be an address such as https://minio.example.com:9000, found ${JSON.stringify(text)}.`);
  },
};

export const path: ValueParser<string> = {
  syntax: 'path, relative to the working directory',
  parse: (text, site) => resolve(site.cwd, text),
};

export const pathList: ValueParser<readonly string[]> = {
  syntax: 'paths with commas between them',
  parse: (text, site) => splitList(text).map((item) => resolve(site.cwd, item)),
};

export const nameList: ValueParser<readonly string[]> = {
  syntax: 'names with commas between them',
  parse(text, site) {
    const names = splitList(text);
    const bad = names.find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
    if (bad === undefined) return names;
    throw refuse(site, `must list names of environment variables, found ${JSON.stringify(bad)}.`);
  },
};

/** Names of this server as clients may write them in `Host`. */
export const hostList: ValueParser<readonly string[]> = {
  syntax: 'host names with commas between them',
  parse(text, site) {
    const hosts = splitList(text).map((host) => host.toLowerCase());
    const bad = hosts.find((host) => !/^[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?$/.test(host));
    if (bad === undefined) return hosts;
    throw refuse(site, `must list host names without ports, found ${JSON.stringify(bad)}.`);
  },
};

/** A Java regular expression that must match a whole name. */
export const wholeNamePattern: ValueParser<RegExp> = {
  syntax: 'regular expression',
  parse: (text, site) => compile(`^(?:${text})$`, text, site),
};

export const urlPatterns: ValueParser<readonly string[]> = {
  syntax: 'regular expressions with commas between them',
  parse(text, site) {
    const patterns = splitList(text);
    for (const pattern of patterns) compile(pattern, pattern, site);
    return patterns;
  },
};

export const address = (plane: Plane): ValueParser<Address> => ({
  syntax: '`http://host:port`, `https://host:port` or `unix:/path`',
  parse(text, site) {
    try {
      return parseAddress(text, plane);
    } catch (error) {
      // The first line is TorchServe's, to the letter; the second one says where to look.
      if (!(error instanceof Fault) || site.origin.source === 'default') throw error;
      throw new Fault('invalid_configuration', `${error.message}\nSet by ${siteName(site)}.`);
    }
  },
});

/** Items between commas, without blanks around them, empty ones skipped. */
function splitList(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function compile(pattern: string, shown: string, site: ValueSite): RegExp {
  try {
    return new RegExp(pattern);
  } catch (cause) {
    const fault = refuse(site, `must be a regular expression, found ${JSON.stringify(shown)}.`);
    throw new Fault('invalid_configuration', fault.message, { cause });
  }
}
