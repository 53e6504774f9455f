// Keys of models: where they come from, what is loaded, how requests queue for them.
import { davyKey, torchserveKey } from '../key.ts';
import { scannerList } from '../scanners.ts';
import {
  byteCount,
  integer,
  javaBoolean,
  oneOf,
  origin,
  path,
  pathList,
  plainText,
  secretText,
  strictBoolean,
  urlPatterns,
} from '../value.ts';

export const MODEL_KEYS = {
  model_store: torchserveKey(pathList, {
    doc: 'Directory of model archives. Davy takes several, with commas between them.',
    isSecurity: true,
  }),
  workflow_store: torchserveKey(path, {
    doc: 'Directory of workflow archives; the model store unless given.',
    isSecurity: true,
    feature: 'workflows',
  }),
  load_models: torchserveKey(plainText, {
    doc: 'Models to load at start: `all`, or archives with commas between them, each with an optional `name=` in front.',
  }),
  models: torchserveKey(plainText, {
    env: null,
    doc: 'JSON with batching and worker counts per model and version: `{"name": {"1.0": {"minWorkers": 1}}}`.',
  }),
  model_snapshot: torchserveKey(plainText, {
    env: null,
    doc: 'JSON written by snapshots; with it only the models it names are loaded.',
  }),
  config_snapshots: davyKey(strictBoolean, {
    default: 'true',
    doc: 'Writes a snapshot after every change and starts from the newest one. Flag `--no-config-snapshots`.',
    isSecurity: true,
    feature: 'snapshots',
  }),
  allowed_urls: torchserveKey(urlPatterns, {
    default: '',
    doc:
      'Regular expressions, with commas between them, that a model’s URL must match as a whole. ' +
      'Empty: no URL at all (TorchServe allowed every one).',
    isSecurity: true,
  }),
  s3_access_key_id: davyKey(plainText, {
    env: 'AWS_ACCESS_KEY_ID',
    isEnvAlwaysRead: true,
    doc: 'Access key for model URLs on S3. With `s3_secret_access_key`, requests to S3 hosts are signed.',
    isSecurity: true,
  }),
  s3_secret_access_key: davyKey(secretText, {
    env: 'AWS_SECRET_ACCESS_KEY',
    isEnvAlwaysRead: true,
    doc: 'Secret of that access key. Signs; is never sent.',
    isSecurity: true,
    isSecret: true,
  }),
  s3_session_token: davyKey(secretText, {
    env: 'AWS_SESSION_TOKEN',
    isEnvAlwaysRead: true,
    doc: 'Token of temporary credentials.',
    isSecurity: true,
    isSecret: true,
  }),
  s3_region: davyKey(plainText, {
    default: 'us-east-1',
    env: 'AWS_DEFAULT_REGION',
    isEnvAlwaysRead: true,
    doc: 'Region of the buckets.',
    isSecurity: true,
  }),
  s3_endpoint: davyKey(origin, {
    doc: 'Where `s3://` URLs go instead of Amazon’s own hosts: a store that speaks its protocol, such as MinIO or Ceph.',
    isSecurity: true,
  }),
  scanners: davyKey(scannerList, {
    default: '[]',
    doc:
      'JSON list of scanners that look at every model before it is loadable: `clamd`, `virustotal`, `executable`, `http`. ' +
      'docs/admission.md has recipes.',
    isSecurity: true,
  }),
  virustotal_api_key: davyKey(secretText, {
    doc: 'API key for the `virustotal` scanner.',
    isSecurity: true,
    isSecret: true,
  }),
  scanner_http_token: davyKey(secretText, {
    doc: 'Bearer token for `http` scanners.',
    isSecurity: true,
    isSecret: true,
  }),
  trust_policy: davyKey(path, {
    doc:
      'YAML file that says who must have signed which models, and what they may be (docs/admission.md). ' +
      'Without it, what the inspection lets through is served.',
    isSecurity: true,
  }),
  immutable_versions: davyKey(strictBoolean, {
    default: 'false',
    doc:
      'A name and version keeps its content for ever, until `davy models forget` releases it. ' +
      'Always so for models that the trust policy wants signed or pinned.',
    isSecurity: true,
  }),
  install_py_dep_per_model: torchserveKey(javaBoolean, {
    default: 'false',
    doc: 'Installs the requirements of each archive for its workers.',
    isSecurity: true,
    feature: 'pythonDependencies',
  }),
  default_service_handler: torchserveKey(plainText, {
    doc: 'Handler of archives that name none.',
    isSecurity: true,
  }),
  service_envelope: torchserveKey(oneOf('body', 'json', 'kserve', 'kservev2'), {
    doc: 'How request bodies are wrapped; replaces what the manifest says.',
    feature: 'envelopes',
  }),
};

export const QUEUE_KEYS = {
  job_queue_size: torchserveKey(integer(1), {
    default: '100',
    doc: 'Requests that may wait per model version; further ones are refused at once.',
  }),
  max_queue_bytes: davyKey(byteCount, {
    default: '256m',
    doc: 'Bytes of request bodies that may wait per model version.',
  }),
  retry_failed_batches: davyKey(strictBoolean, {
    default: 'true',
    doc: 'Runs the requests of a failed batch once more, one by one, so that one client cannot fail the others.',
  }),
};
