// Java .properties text to entries with line numbers (surface spec 7.2), read with the dot-properties library.
import { Fault } from '../kernel/index.ts';
import properties, { type Pair } from 'dot-properties';

export interface PropertiesEntry {
  readonly key: string;
  /** Trailing blanks are part of the value, as in Java. */
  readonly value: string;
  /** 1-based line of the key. */
  readonly line: number;
}

/**
 * Entries in file order; a repeated key appears repeatedly and its last value counts.
 * `text` is the file decoded as ISO-8859-1. Throws `invalid_configuration` for a malformed `\uXXXX`, as Java does.
 */
export function parseProperties(text: string, fileName: string): readonly PropertiesEntry[] {
  // The library knows escaped CRLF only inside values; Java treats the three line ends alike everywhere.
  const source = text.replace(/\r\n?/g, '\n');
  const entries: PropertiesEntry[] = [];
  let line = 1;
  let counted = 0;
  for (const node of properties.parseLines(source, true)) {
    if (!isPair(node)) continue;
    const [start, , , end] = node.range;
    for (; counted < start; counted += 1) if (source[counted] === '\n') line += 1;
    if (hasMalformedEscape(source.slice(start, end))) {
      throw new Fault('invalid_configuration', `Malformed \\uxxxx encoding at ${fileName}:${line}.`);
    }
    entries.push({ key: node.key, value: node.value, line });
  }
  return entries;
}

/**
 * Replaces every `$$NAME$$` by the environment variable NAME; a missing one is fatal with TorchServe's words, and with
 * `site`, such as `model_store at config.properties:3`.
 */
export function substituteEnvironment(
  value: string,
  env: Readonly<Record<string, string | undefined>>,
  site: string,
): string {
  return value.replace(/\$\$(\w+)\$\$/g, (_, name: string) => {
    const found = Object.hasOwn(env, name) ? env[name] : undefined;
    if (found !== undefined) return found;
    throw new Fault(
      'invalid_configuration',
      `Invalid Environment Variable ${name}\n${site} names it; set it before the start.`,
    );
  });
}

type LocatedPair = Pair & { readonly range: [number, number, number, number] };

function isPair(node: { readonly type: string; readonly range?: unknown }): node is LocatedPair {
  return node.type === 'PAIR' && Array.isArray(node.range) && node.range.length === 4;
}

function hasMalformedEscape(raw: string): boolean {
  return [...raw.matchAll(/\\(u[0-9a-fA-F]{4}|[^])/g)].some(([, escaped]) => escaped === 'u');
}
