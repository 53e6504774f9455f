// What a log4j2 file declares: appenders and loggers, as far as they have a meaning here, and a list of the rest.
import { resolve } from 'node:path';
import { expandLookups } from './lookups.ts';
import { parsePattern, type Pattern } from './pattern.ts';
import type { XmlElement } from './xml.ts';

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

export interface Logger {
  /** Its name; of the root, nothing. */
  readonly prefix: string;
  /** Undefined: that of the next logger above. */
  readonly level: LogThreshold | undefined;
  readonly appenders: readonly string[];
  readonly isAdditive: boolean;
}

export type Appender =
  | { readonly kind: 'console'; readonly layout: LogLayout }
  | { readonly kind: 'file'; readonly file: LogFile };

const LEVELS: ReadonlyMap<string, LogThreshold> = new Map([
  ['all', 'debug'],
  ['trace', 'debug'],
  ['debug', 'debug'],
  ['info', 'info'],
  ['warn', 'warn'],
  ['error', 'error'],
  ['fatal', 'error'],
  ['off', 'off'],
]);

export interface LogPlanContext {
  /** For `${env:NAME:-default}`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where relative paths start. */
  readonly cwd: string;
}

export interface Declarations {
  readonly appenders: ReadonlyMap<string, Appender>;
  /** The most particular first, the root last. */
  readonly loggers: readonly Logger[];
  /** What has no effect here: `line 12: <ThresholdFilter>`. */
  readonly ignored: readonly string[];
}

/** Throws `invalid_configuration` for lookups without end. */
export function readDeclarations(root: XmlElement, context: LogPlanContext): Declarations {
  const ignored: string[] = [];
  const reader = new Reader(root, context, ignored);
  const appenders = reader.appenders();
  return { appenders, loggers: reader.loggers(appenders), ignored };
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
  /** Names of appenders that are listed as ignored already. */
  readonly #ignoredAppenders = new Set<string>();

  constructor(root: XmlElement, context: LogPlanContext, ignored: string[]) {
    this.#root = root;
    this.#context = context;
    this.#ignored = ignored;
    if (this.#attribute(root, 'monitorInterval') !== undefined) this.#ignore(root, 'monitorInterval of ');
    for (const section of root.children) if (!KNOWN_SECTIONS.has(kind(section))) this.#ignore(section);
    for (const property of this.#section('properties')) {
      const value = this.#attribute(property, 'value') ?? this.#expand(property.text, property);
      this.#properties.set(this.#attribute(property, 'name') ?? '', value);
    }
  }

  appenders(): ReadonlyMap<string, Appender> {
    const found = new Map<string, Appender>();
    for (const element of this.#section('appenders')) {
      const name = this.#attribute(element, 'name') ?? '';
      if (kind(element) === 'console') {
        for (const child of element.children) if (!isLayout(child)) this.#ignore(child);
        found.set(name, { kind: 'console', layout: this.#layout(element) });
        continue;
      }
      const file = FILE_APPENDERS.has(kind(element)) ? this.#file(element) : this.#ignore(element);
      if (file === undefined) this.#ignoredAppenders.add(name);
      else found.set(name, { kind: 'file', file });
    }
    return found;
  }

  /** The most particular first, the root last. */
  loggers(appenders: ReadonlyMap<string, Appender>): readonly Logger[] {
    const found = this.#section('loggers').flatMap((element): Logger[] => {
      const name = kind(element).replace('async', '');
      if (name !== 'root' && name !== 'logger') {
        this.#ignore(element);
        return [];
      }
      const prefix = name === 'root' ? '' : (this.#attribute(element, 'name') ?? '');
      return [{ prefix, ...this.#logger(element, appenders) }];
    });
    return found.toSorted((a, b) => b.prefix.length - a.prefix.length);
  }

  #logger(element: XmlElement, appenders: ReadonlyMap<string, Appender>): Omit<Logger, 'prefix'> {
    const level = this.#attribute(element, 'level')?.toLowerCase();
    if (level !== undefined && !LEVELS.has(level)) this.#ignored.push(`line ${element.line}: level ${level}`);
    const names: string[] = [];
    for (const child of element.children) {
      const name = kind(child) === 'appenderref' ? (this.#attribute(child, 'ref') ?? '') : undefined;
      if (name === undefined) this.#ignore(child);
      else if (appenders.has(name)) names.push(name);
      else if (!this.#ignoredAppenders.has(name)) this.#ignore(child, `no appender ${name} for `);
      if (child.attributes.has('level')) this.#ignore(child, 'level of ');
    }
    return {
      level: level === undefined ? undefined : LEVELS.get(level),
      appenders: names,
      isAdditive: this.#attribute(element, 'additivity')?.toLowerCase() !== 'false',
    };
  }

  #file(element: XmlElement): LogFile | undefined {
    const path = this.#attribute(element, 'fileName') ?? '';
    if (path === '') return this.#ignore(element, 'fileName of ');
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
    const nested = element?.children.find((child) => kind(child) === 'pattern');
    const written = isPattern
      ? (this.#attribute(element, 'pattern') ?? (nested && this.#expand(nested.text, nested)))
      : undefined;
    const pattern = parsePattern(written ?? USUAL);
    for (const word of pattern.unknown) this.#ignored.push(`line ${(element ?? appender).line}: ${word} in a pattern`);
    return { kind: 'pattern', pattern };
  }

  /** `100 MB`, `512KB`, `1048576`. */
  #bytes(element: XmlElement): number | undefined {
    const match = /^\s*(\d{1,9})\s*([KMG])?B?\s*$/i.exec(this.#attribute(element, 'size') ?? '');
    if (match === null || Number(match[1]) === 0) return this.#ignore(element, 'size of ');
    return Number(match[1]) * 1024 ** ['', 'K', 'M', 'G'].indexOf((match[2] ?? '').toUpperCase());
  }

  #count(element: XmlElement): number | undefined {
    const text = this.#attribute(element, 'max');
    if (text === undefined) return undefined;
    return /^[1-9]\d{0,3}$/.test(text) ? Number(text) : this.#ignore(element, 'max of ');
  }

  #section(name: string): readonly XmlElement[] {
    return this.#root.children.filter((child) => kind(child) === name).flatMap(({ children }) => children);
  }

  /** log4j2 compares names without case. */
  #attribute(element: XmlElement, name: string): string | undefined {
    const found = [...element.attributes].find(([key]) => key.toLowerCase() === name.toLowerCase());
    return found === undefined ? undefined : this.#expand(found[1], element);
  }

  #expand(text: string, { line }: XmlElement): string {
    const unknown = (lookup: string): void => void this.#ignored.push(`line ${line}: ${lookup}`);
    return expandLookups(text, { properties: this.#properties, env: this.#context.env, line, unknown });
  }

  #ignore({ name, line }: XmlElement, what = ''): undefined {
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
