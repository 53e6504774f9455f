// The lookups of log4j2, `${name}` and `${env:NAME:-default}`. None of them asks anybody: log4j2 itself went as far as other
// machines (CVE-2021-44228).
import { Fault } from '../../kernel/index.ts';

export interface Lookups {
  /** The file's own `<Property>` elements, expanded. */
  readonly properties: ReadonlyMap<string, string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the file, for the error. */
  readonly line: number;
  /** Hears of each lookup that has no meaning here. */
  unknown(lookup: string): void;
}

/** Paths and patterns are shorter; properties made of properties could grow without end. */
const MAX_CHARS = 64 * 1024;
/** A default may hold a lookup, whose default may hold another. */
const MAX_DEPTH = 10;

const LOOKUP = /\$\$?\{([^${}]*)\}/g;
/** Scope, name, default. */
const PARTS = /^(?:(\w+):(?!-))?(.*?)(?::-(.*))?$/s;

/** `sys:` means what `env:` means; every other scope is empty. Throws `invalid_configuration` for more than 64 KiB. */
export function expandLookups(text: string, { properties, env, line, unknown }: Lookups): string {
  let expanded = text;
  for (let depth = 0; depth < MAX_DEPTH && expanded.includes('${'); depth += 1) {
    let chars = 0;
    expanded = expanded.replaceAll(LOOKUP, (whole, body: string) => {
      const [, scope, name = '', otherwise = ''] = PARTS.exec(body) ?? [];
      const isEnvironment = scope === 'env' || scope === 'sys';
      if (scope !== undefined && !isEnvironment) unknown(whole);
      const found = isEnvironment ? Object.hasOwn(env, name) && env[name] : scope === undefined && properties.get(name);
      const value = found || otherwise;
      chars += value.length;
      if (chars > MAX_CHARS) throw new Fault('invalid_configuration', `line ${line}: more than 64 KiB by lookups`);
      return value;
    });
  }
  return expanded;
}
