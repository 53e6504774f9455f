// A web service that is sent the file and answers with a JSON object.
import type { Secret } from '../../kernel/index.ts';
import { callService, reach } from './https-exchange.ts';
import { parseVerdict, type VerdictField } from './json-verdict.ts';
import { contentOf, sha256Of, type Scanner } from './scanner.ts';

export interface HttpScannerOptions extends VerdictField {
  readonly url: URL;
  /** Sent as a bearer token. */
  readonly token: Secret | undefined;
}

export function createHttpScanner({ url, token, ...verdict }: HttpScannerOptions): Scanner {
  return {
    /** Reachable is all that can be known without a file to show. */
    async greet(signal) {
      await reach(url, signal);
      return url.origin;
    },
    async scan(file, signal) {
      const headers = {
        'content-type': 'application/octet-stream',
        'content-length': file.size,
        'x-artifact-sha256': await sha256Of(file, signal),
        'x-artifact-name': encodeURIComponent(file.name),
        ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
      };
      const { status, text } = await callService({ method: 'POST', url, headers, body: contentOf(file) }, signal);
      if (status !== 200) return { kind: 'unanswered', why: `The service answered with status ${status}.` };
      return parseVerdict(text, verdict);
    },
  };
}
