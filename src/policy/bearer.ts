// The Authorization grammar of surface spec 6.2: `^Bearer\s+(\S+)$`, case-sensitive, no blank at the end.

/** No key is longer than this; a longer header is not worth hashing. */
const MAX_HEADER_CHARS = 4096;

/** The key in an Authorization value, or undefined when the value is not exactly one bearer key. */
export function parseBearer(authorization: string): string | undefined {
  if (authorization.length > MAX_HEADER_CHARS || !authorization.startsWith('Bearer')) return undefined;
  let start = 6;
  while (start < authorization.length && isBlank(authorization.charCodeAt(start))) start += 1;
  if (start === 6 || start === authorization.length) return undefined;
  for (let at = start; at < authorization.length; at += 1) {
    if (isBlank(authorization.charCodeAt(at))) return undefined;
  }
  return authorization.slice(start);
}

/** Java's `\s`. */
function isBlank(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}
