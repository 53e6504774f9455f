// Reads the JSON of a Python handler, which may hold numbers that JavaScript's JSON cannot.

/** Integers that a double may round, and the three words that Python writes bare, wherever a value can stand. */
const UNHOLDABLE = String.raw`(?:-?\d{16,}|-?Infinity|NaN)(?=[\],}\s])`;
const OCCURS = new RegExp(String.raw`[[,:\s]${UNHOLDABLE}`);
const EVERY = new RegExp(String.raw`(?<=[[,:\s])${UNHOLDABLE}`, 'g');

const QUOTE = '"';
const BACKSLASH = 0x5c;

/**
 * Integers of 16 digits and more, `NaN` and `Infinity` come as texts that `BigInt` and `Number` read. Throws SyntaxError for
 * what is no JSON beside that. Takes time in proportion to the text, whatever a model wrote.
 */
export function parsePythonJson(text: string): unknown {
  return JSON.parse(OCCURS.test(text) ? quoteUnholdable(text) : text);
}

function quoteUnholdable(text: string): string {
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    const quote = text.indexOf(QUOTE, at);
    const start = quote < 0 ? text.length : quote;
    pieces.push(text.slice(at, start).replaceAll(EVERY, '"$&"'));
    at = quote < 0 ? start : endOfString(text, start);
    pieces.push(text.slice(start, at));
  }
  return pieces.join('');
}

/** The index behind the closing quote of the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  for (let at = text.indexOf(QUOTE, start + 1); at >= 0; at = text.indexOf(QUOTE, at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at + 1;
  }
  return text.length;
}
