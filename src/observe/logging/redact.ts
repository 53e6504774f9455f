// Takes credentials out of text before it reaches a log: query parameters that sign or authorise, also when they sit
// percent-encoded inside another parameter (a presigned `url=`), user info in URLs, and Authorization values.

const REDACTED = '[redacted]';

const SECRET_NAMES = [
  'x-amz-(?:signature|credential|security-token)',
  'x-goog-(?:signature|credential)',
  'awsaccesskeyid',
  'sig(?:nature)?',
  '(?:access|id|refresh|auth|session|security|bearer)[_-]?token',
  'token',
  'api[_-]?key',
  'access[_-]?key',
  'private[_-]?key',
  '(?:client[_-]?)?secret',
  'pass(?:word|wd|phrase)?',
  'pwd',
  'credentials?',
  'auth',
].join('|');

/** A name, `=` (or `%3D`, `%253D`), and the value up to the next parameter at any level of encoding. */
const PARAMETER = new RegExp(
  `(?<=^|[^a-z0-9_-]|%(?:25)?(?:26|3f))((?:${SECRET_NAMES})(?:=|%(?:25)?3d))(?:(?!%(?:25)?26)[^&\\s"'<>#,;])+`,
  'gi',
);
/** A model URL to its end, or to the next one. Taken whole, so that a text of nothing but `url=` is read once. */
const MODEL_URL = /\burl=(?:(?!\burl=)[^&\s"'<>])+/gi;
const QUERY_MARK = /\?|%(?:25)?3f/i;
const USER_INFO = /((?::|%3a)(?:\/|%2f){2})(?:(?!%40|%2f)[^\s/@?#"'<>]){1,512}(@|%40)/gi;
const BEARER = /\b(Bearer|Basic)(\s+|%20|\+)[^\s"',;]+/gi;
const AUTHORIZATION = /(authorization["']?\s{0,8}[:=]\s{0,8}["']?)(?!Bearer|Basic)[^\s"',;]+/gi;
/** None of the patterns can match a text without one of these characters. */
const MAY_HOLD_SECRET = /[=@%:]|bearer|basic/i;

/** `text` with every recognised credential replaced by `[redacted]`. Names stay, so that the line stays useful. */
export function redactText(text: string): string {
  if (!MAY_HOLD_SECRET.test(text)) return text;
  return text
    .replace(BEARER, `$1$2${REDACTED}`)
    .replace(AUTHORIZATION, `$1${REDACTED}`)
    .replace(PARAMETER, `$1${REDACTED}`)
    .replace(MODEL_URL, withoutNamelessQuery)
    .replace(USER_INFO, `$1${REDACTED}$2`);
}

/** A query that is one word without a name: nothing but a token looks like that. */
function withoutNamelessQuery(url: string): string {
  const mark = QUERY_MARK.exec(url);
  if (mark === null) return url;
  const start = mark.index + mark[0].length;
  const [word = ''] = /^[^#,;]*/.exec(url.slice(start)) ?? [];
  if (word === '' || /=|%(?:25)?(?:3d|26)/i.test(word)) return url;
  return `${url.slice(0, start)}${REDACTED}${url.slice(start + word.length)}`;
}
