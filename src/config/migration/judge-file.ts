// What Davy will make of every line of a TorchServe configuration file. Pure: the file is judged, nothing is started.
import { Fault } from '../../kernel/index.ts';
import { isLoopbackHost, parseAddress, type Plane } from '../address.ts';
import { FEATURES, featureStatus } from '../features.ts';
import { KEY_NAMES, KEYS, type KeyName, isKeyName } from '../keys/index.ts';
import { nearMiss } from '../near-miss.ts';
import { parseProperties, type PropertiesEntry } from '../properties.ts';
import type { ConfigFile } from '../resolve.ts';
import type { Remark } from './remark.ts';

/** The last value of every known key counts, as in Java. Throws `invalid_configuration` when the file cannot be parsed. */
export function configValues(file: ConfigFile): ReadonlyMap<KeyName, string> {
  const known = parseProperties(file.text, file.name).filter(({ key }) => isKeyName(key));
  return new Map(known.map(({ key, value }) => [key as KeyName, value]));
}

/**
 * One remark for each line that needs one, and one that lists the keys that mean what they meant. `values` are those
 * that count in the end, flags included. Throws `invalid_configuration` when the file cannot be parsed.
 */
export function judgeConfigFile(
  file: ConfigFile,
  values: ReadonlyMap<KeyName, string>,
  cwd: string,
): readonly Remark[] {
  const remarks: Remark[] = [];
  const same: string[] = [];
  for (const entry of parseProperties(file.text, file.name)) {
    const where = `${file.name}:${entry.line}`;
    const found = isKeyName(entry.key)
      ? judgeKey(entry.key, entry.value, { where, cwd, values })
      : judgeUnknown(entry, where);
    if (found === undefined) same.push(entry.key);
    else remarks.push(found);
  }
  if (same.length > 0) {
    remarks.push({ kind: 'same', where: file.name, subject: same.join(', '), message: 'Mean what they meant.' });
  }
  return remarks;
}

interface Context {
  readonly where: string;
  readonly cwd: string;
  readonly values: ReadonlyMap<KeyName, string>;
}

/** Undefined: the key means what it meant. Also judges flags, which have keys behind them. */
export function judgeKey(key: KeyName, text: string, context: Context): Remark | undefined {
  const { where } = context;
  const remark = (kind: Remark['kind'], message: string, ...write: string[]): Remark => ({
    kind,
    where,
    subject: KEYS[key].isSecret ? key : `${key}=${text}`,
    message,
    ...(write.length > 0 && { write }),
  });
  const problem = readingProblem(key, text, context);
  if (problem !== undefined) return remark('change', problem);
  const special = SPECIAL[key]?.(text, remark, context);
  if (special !== undefined) return special;
  const { feature, defaultText } = KEYS[key];
  if (feature === undefined || text === defaultText) return undefined;
  const status = featureStatus(feature);
  const { title } = FEATURES[feature];
  if (status === 'never') return remark('note', `Accepted and ignored: it belongs to ${title}.`);
  if (status === 'later') return remark('change', `Has no effect yet: this version does not have ${title}.`);
  return undefined;
}

function judgeUnknown({ key, value }: PropertiesEntry, where: string): Remark {
  const meant = nearMiss(key, KEY_NAMES);
  if (meant === undefined) {
    return {
      kind: 'note',
      where,
      subject: key,
      message: 'Unknown; reported at start and ignored, as TorchServe ignores it.',
    };
  }
  return {
    kind: 'change',
    where,
    subject: key,
    message: `Unknown, and so close to ${meant} that the server does not start. TorchServe ignored it silently.`,
    write: [`${meant}=${value}`],
  };
}

function readingProblem(key: KeyName, text: string, { where, cwd }: Context): string | undefined {
  // What stands in the environment of the server to come is not known here.
  if (/\$\$\w+\$\$/.test(text)) return undefined;
  const warnings: string[] = [];
  try {
    KEYS[key].read(text, { key, cwd, origin: { source: 'file', where }, warn: (line) => void warnings.push(line) });
  } catch (thrown) {
    if (!(thrown instanceof Fault)) throw thrown;
    return thrown.message.replaceAll('\n', ' ');
  }
  return warnings[0];
}

type Make = (kind: Remark['kind'], message: string, ...write: string[]) => Remark;
type Judge = (text: string, remark: Make, context: Context) => Remark | undefined;

const isTrue = (text: string | undefined): boolean => text?.toLowerCase() === 'true';
const TORCHSERVE_ALLOWED_URLS = 'file://.*|http(s)?://.*';
const CLEAR_TEXT = 'Davy does not start: keys and data would cross the network unencrypted.';
const CERTIFICATE = ['certificate_file=PATH', 'private_key_file=PATH'] as const;

const SPECIAL: Readonly<Partial<Record<KeyName, Judge>>> = {
  inference_address: judgeAddress('inference'),
  management_address: judgeAddress('management'),
  metrics_address: judgeAddress('metrics'),
  grpc_inference_address: judgeGrpcAddress,
  grpc_management_address: judgeGrpcAddress,
  disable_token_authorization: (text, remark) =>
    isTrue(text)
      ? remark(
          'note',
          'Works, with a warning at start. Probes (/ping) need no key here, so keys may be worth another try.',
        )
      : undefined,
  allowed_urls: (text, remark) =>
    text === TORCHSERVE_ALLOWED_URLS
      ? remark(
          'note',
          'Works, with a warning at start: name the hosts that models really come from.',
          'allowed_urls=https://HOST/.*',
        )
      : undefined,
  install_py_dep_per_model: (text, remark) =>
    isTrue(text)
      ? remark(
          'change',
          'Installs wheels that are pinned by version and hash, from one index. Models with other requirements stay without workers.',
          'pip_index_url=https://HOST/simple/',
        )
      : undefined,
  plugins_path: (_, remark) =>
    remark('change', 'There is no Java virtual machine to load plugins; what they did is lost.', '(delete this line)'),
  debug: (text, remark) =>
    isTrue(text) ? remark('change', 'Workers cannot be attached to by hand.', 'debug=false') : undefined,
};

function judgeAddress(plane: Plane): Judge {
  return (text, remark, { values }) => {
    if (plane === 'metrics' && values.get('enable_metrics_api')?.toLowerCase() === 'false') return undefined;
    const address = parseAddress(text, plane);
    if (address.kind === 'unix') return undefined;
    const hasCertificate = values.has('keystore') || values.has('certificate_file');
    const key = `${plane}_address`;
    if (address.scheme === 'https') {
      return hasCertificate
        ? undefined
        : remark('change', 'Davy makes no self-signed certificate by itself; name one.', ...CERTIFICATE);
    }
    if (isLoopbackHost(address.host)) return undefined;
    if (!isTrue(values.get('insecure_bind'))) {
      return remark(
        'change',
        `${CLEAR_TEXT} Use TLS, or insecure_bind=true behind something that encrypts.`,
        `${key}=${text.replace(/^http:/i, 'https:')}`,
        ...(hasCertificate ? [] : CERTIFICATE),
      );
    }
    return plane === 'metrics'
      ? remark(
          'change',
          'Beyond loopback the metrics want a key: let Prometheus send the management key, or stay on loopback.',
        )
      : undefined;
  };
}

function judgeGrpcAddress(text: string, remark: Make, { values }: Context): Remark | undefined {
  const isSafe = isLoopbackHost(text) || isTrue(values.get('enable_grpc_ssl')) || isTrue(values.get('insecure_bind'));
  if (isSafe || values.get('grpc_enabled') === 'false') return undefined;
  return remark(
    'change',
    `${CLEAR_TEXT} Use TLS, or insecure_bind=true behind something that encrypts.`,
    'enable_grpc_ssl=true',
    ...CERTIFICATE,
  );
}
