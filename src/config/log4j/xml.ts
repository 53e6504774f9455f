// Reads the XML of configuration files: elements, attributes, comments, CDATA. No DTD and no entities but the five of XML itself, so
// that nothing in a file can open another one or grow; text between elements is dropped where it is blank.
import { Fault } from '../../kernel/index.ts';

export interface XmlElement {
  readonly name: string;
  /** 1-based. */
  readonly line: number;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** Character data directly inside, trimmed. */
  readonly text: string;
}

type Growing = XmlElement & { children: XmlElement[]; text: string };

const MAX_CHARS = 1024 * 1024;
/** Nobody nests appenders deeper. */
const MAX_DEPTH = 50;

const NAME = String.raw`[A-Za-z_][\w.:-]*`;
const ATTRIBUTE = new RegExp(String.raw`\s+(${NAME})\s*=\s*(?:"([^"<]*)"|'([^'<]*)')`, 'y');
const TOKEN = new RegExp(
  String.raw`<!--[^]*?-->|<\?[^]*?\?>|<!\[CDATA\[([^]*?)\]\]>|</(${NAME})\s*>|<(${NAME})|([^<]+)`,
  'y',
);

/** The root element. Throws `invalid_configuration` with the line of the first thing that is not understood. */
export function parseXml(text: string): XmlElement {
  if (text.length > MAX_CHARS) throw invalid(1, 'the file is larger than 1 MiB');
  const lineAt = lineCounter(text);
  const open: Growing[] = [];
  let root: XmlElement | undefined;
  for (let at = text.startsWith('\uFEFF') ? 1 : 0; at < text.length;) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text);
    const line = lineAt(at);
    if (token === null) throw invalid(line, 'not XML, or a DTD, which is not read');
    at = TOKEN.lastIndex;
    const [, cdata, closed, opened, characters] = token;
    const parent = open.at(-1);
    if (closed !== undefined) {
      const element = open.pop();
      if (element?.name !== closed) throw invalid(line, `</${closed}> closes nothing`);
      element.text = element.text.trim();
    } else if (opened !== undefined) {
      const { attributes, isEmpty, end } = tagRest(text, at, line);
      at = end;
      const element: Growing = { name: opened, line, attributes, children: [], text: '' };
      if (parent !== undefined) parent.children.push(element);
      else if (root === undefined) root = element;
      else throw invalid(line, `a second root element <${opened}>`);
      if (!isEmpty && open.push(element) > MAX_DEPTH) throw invalid(line, `more than ${MAX_DEPTH} levels`);
    } else if (cdata !== undefined || characters?.trim()) {
      if (parent === undefined) throw invalid(line, 'text outside of the root element');
      parent.text += cdata ?? unescape(characters ?? '', line);
    }
  }
  const unclosed = open.at(-1);
  if (unclosed !== undefined) throw invalid(unclosed.line, `<${unclosed.name}> is not closed`);
  return root ?? invalidEnd();
}

function tagRest(
  text: string,
  start: number,
  line: number,
): { readonly attributes: ReadonlyMap<string, string>; readonly isEmpty: boolean; readonly end: number } {
  const attributes = new Map<string, string>();
  let at = start;
  for (;;) {
    ATTRIBUTE.lastIndex = at;
    const found = ATTRIBUTE.exec(text);
    if (found === null) break;
    const [, name = '', double, single] = found;
    if (attributes.has(name)) throw invalid(line, `the attribute ${name} comes twice`);
    attributes.set(name, unescape(double ?? single ?? '', line));
    at = ATTRIBUTE.lastIndex;
  }
  const end = /\s*(\/?)>/y;
  end.lastIndex = at;
  const closing = end.exec(text);
  if (closing === null) throw invalid(line, 'a tag that is not understood');
  return { attributes, isEmpty: closing[1] === '/', end: end.lastIndex };
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescape(text: string, line: number): string {
  return text.replace(/&([^;&]{0,12};?)/g, (_, body: string) => {
    const name = body.slice(0, -1);
    const code = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}));$/.exec(body);
    const point =
      code === null ? Number.NaN : Number.parseInt(code[1] ?? code[2] ?? '', code[1] === undefined ? 10 : 16);
    if (point <= 0x10_ffff) return String.fromCodePoint(point);
    const found = body.endsWith(';') && Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined;
    if (found === undefined) throw invalid(line, `the entity &${body} is not read`);
    return found;
  });
}

/** Line numbers of growing positions. */
function lineCounter(text: string): (at: number) => number {
  let [line, counted] = [1, 0];
  return (at) => {
    for (; counted < at; counted += 1) if (text[counted] === '\n') line += 1;
    return line;
  };
}

const invalid = (line: number, what: string): Fault => new Fault('invalid_configuration', `line ${line}: ${what}`);

function invalidEnd(): never {
  throw invalid(1, 'no element at all');
}
