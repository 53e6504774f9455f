// JSON for documents that two parsers may read: a key written twice is refused, because parsers differ on which one counts.

/** Containers inside containers. A manifest has two; the checks below are recursive in JSON.parse only. */
const MAX_DEPTH = 64;

/** Like JSON.parse; throws SyntaxError. Numbers under the keys named in `asText` come as they are written. */
export function parseUniqueJson(text: string, asText: readonly string[] = []): unknown {
  const parsed: unknown = JSON.parse(text, (key, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' && asText.includes(key) ? (context?.source ?? String(value)) : value,
  );
  refuseDuplicates(text);
  return parsed;
}

/** Walks the tokens of text that JSON.parse has accepted. */
function refuseDuplicates(text: string): void {
  const open: (Set<string> | null)[] = [];
  const token = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g;
  for (let match = token.exec(text); match !== null; match = token.exec(text)) {
    const [found, colon] = match;
    if (found === '{') open.push(new Set());
    else if (found === '[') open.push(null);
    else if (found === '}' || found === ']') open.pop();
    else if (colon !== undefined) addKey(open.at(-1), found.slice(0, -colon.length));
    if (open.length > MAX_DEPTH) throw new SyntaxError('JSON is nested too deeply');
  }
}

function addKey(keys: Set<string> | null | undefined, literal: string): void {
  const key = JSON.parse(literal) as string;
  if (keys?.has(key)) throw new SyntaxError('JSON has a key twice');
  keys?.add(key);
}
