// What Davy takes from a log4j2 XML file of TorchServe's (surface spec 11): levels, files, rolling and patterns. What it does not take
// is listed, so that the operator reads it at start and not in a missing log.
import { resolve } from 'node:path';
import { parsePattern, type Pattern } from './pattern.ts';
import { parseXml, type XmlElement } from './xml.ts';

/** TorchServe's five kinds of lines, each with the logger that decides over it. */
export const LOG_STREAMS = {
  access: 'ACCESS_LOG',
  server: 'org.pytorch.serve',
  model: 'MODEL_LOG',
  ts_metrics: 'TS_METRICS',
  model_metrics: 'MODEL_METRICS',
} as const;

export type LogStreamName = keyof typeof LOG_STREAMS;
export type LogThreshold = 'debug' | 'info' | 'warn' | 'error' | 'off';

export type LogLayout = { readonly kind: 'pattern'; readonly pattern: Pattern } | { readonly kind: 'json' };

export interface LogFile {
  /** Absolute. */
  readonly path: string;
  readonly maxBytes: number | undefined;
  /** How many rolled files are kept. */
  readonly keep: number | undefined;
  readonly layout: LogLayout;
}

export interface LogRoute {
  readonly files: readonly LogFile[];
  /** Undefined: not on the console. */
  readonly console: LogLayout | undefined;
}

export interface LogPlan {
  /** The lowest level that is written, for a logger's name. */
  levelOf(logger: string): LogThreshold;
  /** Undefined: the file declares no appender, so lines go where they always do. */
  readonly routes: Readonly<Record<LogStreamName, LogRoute>> | undefined;
  /** What has no effect here: `line 12: <ThresholdFilter>`. */
  readonly ignored: readonly string[];
}

interface Logger {
  readonly level: LogThreshold;
  readonly appenders: readonly string[];
  readonly isAdditive: boolean;
}

type Appender =
  | { readonly kind: 'console'; readonly layout: LogLayout }
  | { readonly kind: 'file'; readonly file: LogFile };

const LEVELS: Readonly<Record<string, LogThreshold>> = {
  all: 'debug',
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'error',
  off: 'off',
};

export interface LogPlanContext {
  /** For `${env:NAME:-default}`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative paths start. */
  readonly cwd: string;
}

/** Throws `invalid_configuration` for what is no XML. */
export function parseLogPlan(text: string, context: LogPlanContext): LogPlan {
  const root = parseXml(text);
  const ignored: string[] = [];
  const reader = new Reader(root, context, ignored);
  const appenders = reader.appenders();
  const loggers = reader.loggers();
  return {
    levelOf: (name) => loggers.find(({ prefix }) => covers(prefix, name))?.logger.level ?? 'info',
    routes: appenders.size === 0 ? undefined : routes(appenders, loggers),
    ignored,
  };
}

interface Named {
  readonly prefix: string;
  readonly logger: Logger;
}

/** A logger speaks for its own name and for those below it; the root, `''`, for all. */
const covers = (prefix: string, name: string): boolean =>
  prefix === '' || name === prefix || name.startsWith(`${prefix}.`);

function routes(
  appenders: ReadonlyMap<string, Appender>,
  loggers: readonly Named[],
): Readonly<Record<LogStreamName, LogRoute>> {
  const route = (stream: LogStreamName): LogRoute => {
    const names = new Set<string>();
    for (const { logger } of loggers.filter(({ prefix }) => covers(prefix, LOG_STREAMS[stream]))) {
      for (const name of logger.appenders) names.add(name);
      if (!logger.isAdditive) break;
    }
    const found = [...names].flatMap((name) => appenders.get(name) ?? []);
    return {
      files: found.flatMap((appender) => (appender.kind === 'file' ? [appender.file] : [])),
      console: found.find((appender) => appender.kind === 'console')?.layout,
    };
  };
  return {
    access: route('access'),
    server: route('server'),
    model: route('model'),
    ts_metrics: route('ts_metrics'),
    model_metrics: route('model_metrics'),
  };
}

const KNOWN_SECTIONS = new Set(['properties', 'appenders', 'loggers']);
const FILE_APPENDERS = new Set(['file', 'rollingfile', 'randomaccessfile', 'rollingrandomaccessfile']);
const JSON_LAYOUTS = new Set(['jsonlayout', 'jsonpatternlayout', 'jsontemplatelayout']);
/** `%d{ISO8601} [%-5p] %t %c - %m%n`: for an appender without a layout. */
const USUAL = '%d{ISO8601} [%-5p] %t %c - %m%n';

class Reader {
  readonly #root: XmlElement;
  readonly #context: LogPlanContext;
  readonly #ignored: string[];
  readonly #properties = new Map<string, string>();

  constructor(root: XmlElement, context: LogPlanContext, ignored: string[]) {
    this.#root = root;
    this.#context = context;
    this.#ignored = ignored;
    for (const section of root.children) if (!KNOWN_SECTIONS.has(kind(section))) this.#ignore(section);
    for (const property of this.#section('properties')) {
      this.#properties.set(this.#attribute(property, 'name') ?? '', this.#expand(property.text, property));
    }
  }

  appenders(): ReadonlyMap<string, Appender> {
    const found = new Map<string, Appender>();
    for (const element of this.#section('appenders')) {
      const name = this.#attribute(element, 'name') ?? '';
      if (kind(element) === 'console') {
        for (const child of element.children) if (!isLayout(child)) this.#ignore(child);
        found.set(name, { kind: 'console', layout: this.#layout(element) });
      } else if (FILE_APPENDERS.has(kind(element))) {
        const file = this.#file(element);
        if (file !== undefined) found.set(name, { kind: 'file', file });
      } else this.#ignore(element);
    }
    return found;
  }

  /** The most particular first, the root last. */
  loggers(): readonly Named[] {
    const found = this.#section('loggers').flatMap((element): Named[] => {
      const name = kind(element).replace('async', '');
      if (name !== 'root' && name !== 'logger') {
        this.#ignore(element);
        return [];
      }
      const prefix = name === 'root' ? '' : (this.#attribute(element, 'name') ?? '');
      return [{ prefix, logger: this.#logger(element) }];
    });
    return found.toSorted((a, b) => b.prefix.length - a.prefix.length);
  }

  #logger(element: XmlElement): Logger {
    const level = (this.#attribute(element, 'level') ?? 'info').toLowerCase();
    if (!Object.hasOwn(LEVELS, level)) this.#ignored.push(`line ${element.line}: level ${level}`);
    const references = element.children.filter((child) => kind(child) === 'appenderref');
    for (const child of element.children) if (kind(child) !== 'appenderref') this.#ignore(child);
    for (const child of references) if (child.attributes.has('level')) this.#ignore(child, 'level of ');
    return {
      level: LEVELS[level] ?? 'info',
      appenders: references.map((child) => this.#attribute(child, 'ref') ?? ''),
      isAdditive: this.#attribute(element, 'additivity')?.toLowerCase() !== 'false',
    };
  }

  #file(element: XmlElement): LogFile | undefined {
    const path = this.#attribute(element, 'fileName') ?? '';
    if (path === '') {
      this.#ignore(element, 'fileName of ');
      return undefined;
    }
    const below = flatten(element.children);
    for (const child of below) if (!FILE_PARTS.has(kind(child)) && !isLayout(child)) this.#ignore(child);
    const size = below.find((child) => kind(child) === 'sizebasedtriggeringpolicy');
    const strategy = below.find((child) => kind(child) === 'defaultrolloverstrategy');
    return {
      path: resolve(this.#context.cwd, path),
      maxBytes: size === undefined ? undefined : this.#bytes(size),
      keep: strategy === undefined ? undefined : this.#count(strategy),
      layout: this.#layout(element),
    };
  }

  #layout(appender: XmlElement): LogLayout {
    const element = appender.children.find(isLayout);
    if (element !== undefined && JSON_LAYOUTS.has(kind(element))) return { kind: 'json' };
    const isPattern = element !== undefined && kind(element) === 'patternlayout';
    if (element !== undefined && !isPattern) this.#ignore(element);
    const nested = isPattern ? element.children.find((child) => kind(child) === 'pattern')?.text : undefined;
    const written = isPattern ? (this.#attribute(element, 'pattern') ?? nested) : undefined;
    const pattern = parsePattern(this.#expand(written ?? USUAL, element ?? appender));
    for (const word of pattern.unknown) this.#ignored.push(`line ${(element ?? appender).line}: ${word} in a pattern`);
    return { kind: 'pattern', pattern };
  }

  /** `100 MB`, `512KB`, `1048576`. */
  #bytes(element: XmlElement): number | undefined {
    const match = /^\s*(\d{1,9})\s*([KMG])?B?\s*$/i.exec(this.#attribute(element, 'size') ?? '');
    if (match === null || Number(match[1]) === 0) return void this.#ignore(element, 'size of ');
    return Number(match[1]) * 1024 ** ['', 'K', 'M', 'G'].indexOf((match[2] ?? '').toUpperCase());
  }

  #count(element: XmlElement): number | undefined {
    const text = this.#attribute(element, 'max') ?? '';
    return /^[1-9]\d{0,3}$/.test(text) ? Number(text) : undefined;
  }

  #section(name: string): readonly XmlElement[] {
    return this.#root.children.filter((child) => kind(child) === name).flatMap(({ children }) => children);
  }

  /** log4j2 compares names without case. */
  #attribute(element: XmlElement, name: string): string | undefined {
    const found = [...element.attributes].find(([key]) => key.toLowerCase() === name.toLowerCase());
    return found === undefined ? undefined : this.#expand(found[1], element);
  }

  /** `${name}`, `${env:NAME}` and `${env:NAME:-default}`; `sys:` means the same here. Every other lookup is empty and listed. */
  #expand(text: string, { line }: XmlElement): string {
    const { env } = this.#context;
    return text.replaceAll(
      /\$\$?\{(?:(\w+):)?([^${}]+?)(?::-([^${}]*))?\}/g,
      (whole, where: string | undefined, name: string, otherwise = '') => {
        if (where === undefined) return this.#properties.get(name) ?? otherwise;
        if (where === 'env' || where === 'sys') return (Object.hasOwn(env, name) && env[name]) || otherwise;
        this.#ignored.push(`line ${line}: ${whole}`);
        return otherwise;
      },
    );
  }

  #ignore({ name, line }: XmlElement, what = ''): void {
    this.#ignored.push(`line ${line}: ${what}<${name}>`);
  }
}

const FILE_PARTS = new Set([
  'policies',
  'sizebasedtriggeringpolicy',
  'timebasedtriggeringpolicy',
  'defaultrolloverstrategy',
  'pattern',
]);

const kind = ({ name }: XmlElement): string => name.toLowerCase();
const isLayout = (element: XmlElement): boolean => kind(element).endsWith('layout');
const flatten = (elements: readonly XmlElement[]): readonly XmlElement[] =>
  elements.flatMap((element) => [element, ...flatten(element.children)]);
