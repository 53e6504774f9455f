// The small texts of gRPC over HTTP/2: deadlines and status messages.

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };
/** Node's timers cannot wait longer; a deadline in 25 days is none. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** `grpc-timeout` in milliseconds; undefined for none, `malformed` for what is not in the form of the specification. */
export function parseTimeout(header: string | undefined): number | undefined | 'malformed' {
  if (header === undefined) return undefined;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  if (digits === undefined || unit === undefined) return 'malformed';
  const milliseconds = Number(digits) * (UNIT_MS[unit] ?? 1);
  return milliseconds > MAX_TIMEOUT_MS ? undefined : milliseconds;
}

/** Trailers share one frame with everything else a client accepts; clients commonly take 8 KB. */
const MAX_MESSAGE_CHARS = 2048;

/** `grpc-message`: UTF-8 with everything but printable ASCII, and the percent sign, percent-encoded. */
export function encodeMessage(message: string): string {
  const kept = message.slice(0, MAX_MESSAGE_CHARS);
  if (/^[\x20-\x24\x26-\x7e]*$/.test(kept)) return kept;
  return kept.toWellFormed().replace(/[^\x20-\x24\x26-\x7e]+/gu, encodeURIComponentFully);
}

function encodeURIComponentFully(text: string): string {
  return [...Buffer.from(text, 'utf8')].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
