// Makes any text fit for one log line: nothing in it can start a new line, move a terminal's cursor or hide its neighbours.
// The attacker controls paths, model names, handler prints and exception texts.

/** A traceback line or a long URL fits; a megabyte printed by a handler does not. */
export const MAX_LINE_CHARS = 8192;

const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;
/** C0, DEL, C1 (NEL and CSI among them), zero-width and bidirectional controls, line separators, lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\u2028\u2029\p{Cs}]/gu;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** `text` with every unsafe character as `\n`, `\xHH` or `\u{HHHH}`, cut after `maxChars` characters of input. */
export function escapeText(text: string, maxChars: number = MAX_LINE_CHARS): string {
  const kept = text.length <= maxChars ? text : text.slice(0, maxChars);
  const safe = PRINTABLE_ASCII.test(kept) ? kept : kept.replace(UNSAFE, escapeCharacter);
  return kept === text ? safe : `${safe}… [cut]`;
}

function escapeCharacter(character: string): string {
  const short = SHORT[character];
  if (short !== undefined) return short;
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  return hex.length <= 2 ? `\\x${hex.padStart(2, '0')}` : `\\u{${hex}}`;
}
