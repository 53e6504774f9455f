// Object storage: where `s3://bucket/key` lies, and which requests are signed (SigV4). Surface spec 3.1: `s3_sse_kms`.
//
// A signature proves who we are to whoever receives it, so it goes to hosts of S3 and to the configured endpoint only,
// whatever the caller of register asks for.
import { AwsV4Signer } from 'aws4fetch';
import type { S3Settings } from '../../config/index.ts';
import type { AllowedUrl } from './allowed-urls.ts';

/** One GET to make. */
export interface RemoteFile extends AllowedUrl {
  /** `http:` or `https:`. */
  readonly url: URL;
  /** Beyond those of every download. */
  readonly headers: Readonly<Record<string, string>>;
}

/** `asksForSigning`: the caller said so; `s3:` URLs are signed wherever there are credentials. */
export async function remoteFile(allowed: AllowedUrl, s3: S3Settings, asksForSigning: boolean): Promise<RemoteFile> {
  const { url, isLiteralHost } = allowed.url.protocol === 's3:' ? locate(allowed.url, s3) : allowed;
  const region = signingRegion(url, s3);
  const isSigned = region !== null && (asksForSigning || allowed.url.protocol === 's3:');
  return { url, isLiteralHost, headers: isSigned ? await signature(url, region, s3) : {} };
}

function locate({ hostname: bucket, pathname }: URL, { endpoint, region }: S3Settings): AllowedUrl {
  // The operator wrote the endpoint down: it may be on his own network.
  if (endpoint !== undefined) return { url: new URL(`${endpoint}/${bucket}${pathname}`), isLiteralHost: true };
  // A wildcard certificate covers one label, so a bucket with a dot goes into the path.
  const [host, path] = bucket.includes('.') ? [`s3.${region}`, `/${bucket}`] : [`${bucket}.s3.${region}`, ''];
  return { url: new URL(`https://${host}.amazonaws.com${path}${pathname}`), isLiteralHost: false };
}

/** `bucket.s3.eu-west-1.amazonaws.com`, `s3-eu-west-1.amazonaws.com`, `s3.amazonaws.com`, and China’s. */
const AMAZON = /^(?:[a-z0-9.-]+\.)?s3(?:[.-](?:dualstack\.)?([a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?$/;

/** The region to sign for; null for every host that must not see a signature. */
function signingRegion(url: URL, { endpoint, region }: S3Settings): string | null {
  if (endpoint !== undefined && url.origin === endpoint) return region;
  const match = url.protocol === 'https:' && url.port === '' ? AMAZON.exec(url.hostname) : null;
  return match === null ? null : (match[1] ?? region);
}

async function signature(
  url: URL,
  region: string,
  { accessKeyId, secretAccessKey, sessionToken }: S3Settings,
): Promise<Record<string, string>> {
  if (accessKeyId === undefined || secretAccessKey === undefined) return {};
  const signer = new AwsV4Signer({
    method: 'GET',
    url: url.href,
    service: 's3',
    region,
    accessKeyId,
    secretAccessKey: secretAccessKey.reveal(),
    ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
  });
  const { headers } = await signer.sign();
  headers.delete('host');
  return Object.fromEntries(headers);
}
