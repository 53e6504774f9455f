// VirusTotal: asks what is known of a sha256. Nothing is ever uploaded; the hash itself still tells that the file exists.
import { z } from 'zod';
import type { Secret } from '../../kernel/index.ts';
import { callService, reach } from './https-exchange.ts';
import { CLEAN, sha256Of, type Scanner, type ScanVerdict } from './scanner.ts';

export interface VirusTotalOptions {
  readonly apiKey: Secret;
  /** `https://www.virustotal.com/api/v3/` unless a mirror stands in for it. */
  readonly endpoint: URL;
  /** Engines that must agree before a file counts as malicious. */
  readonly minDetections: number;
}

export const VIRUSTOTAL_API = 'https://www.virustotal.com/api/v3/';

export function createVirusTotal({ apiKey, endpoint, minDetections }: VirusTotalOptions): Scanner {
  return {
    /** Every question counts against the quota, so it is only connected to. */
    async greet(signal) {
      await reach(endpoint, signal);
      return endpoint.origin;
    },
    async scan(file, signal) {
      const hash = await sha256Of(file, signal);
      const url = new URL(`files/${hash}`, endpoint);
      const answer = await callService({ method: 'GET', url, headers: { 'x-apikey': apiKey.reveal() } }, signal);
      return parseReport(answer.status, answer.text, hash, minDetections);
    },
  };
}

const COUNT = z.number().int().nonnegative();
const REPORT = z.object({
  data: z.object({
    id: z.string(),
    attributes: z.object({
      last_analysis_stats: z.object({ malicious: COUNT, suspicious: COUNT, undetected: COUNT, harmless: COUNT }),
    }),
  }),
});
const NOT_FOUND = z.object({ error: z.object({ code: z.literal('NotFoundError') }) });

export function parseReport(status: number, text: string, hash: string, minDetections: number): ScanVerdict {
  const unanswered = (why: string): ScanVerdict => ({ kind: 'unanswered', why });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return unanswered(`VirusTotal answered with status ${status} and no JSON.`);
  }
  if (status === 404 && NOT_FOUND.safeParse(json).success) return { kind: 'unknown' };
  if (status !== 200) return unanswered(`VirusTotal answered with status ${status}.`);
  const report = REPORT.safeParse(json);
  if (!report.success) return unanswered('VirusTotal answered with a report of an unknown form.');
  const { id, attributes } = report.data.data;
  if (id !== hash) return unanswered('VirusTotal answered about another file.');
  const { malicious, suspicious, undetected, harmless } = attributes.last_analysis_stats;
  const against = malicious + suspicious;
  if (against >= minDetections) return { kind: 'malicious', what: `${against} engines` };
  // A file that no engine has looked at is as good as unknown.
  return undetected + harmless > 0 ? CLEAN : { kind: 'unknown' };
}
